"""The beta's dialect of the Realtime API, translated at a connection's edge: nothing behind it knows that it exists."""
