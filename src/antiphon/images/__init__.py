"""Images as clients send them: their heads without decoding anything, and their pixels within bounds."""
