"""Who speaks, and whether they are done: endpointing and the judging of pauses. Pure."""
