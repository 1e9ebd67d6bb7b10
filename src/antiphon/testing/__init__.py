"""For tests: the engine conformance suite, scripted engines, and an event loop on virtual time."""
