"""The Realtime session as a pure state machine: facts in, ordered orders out. No await, clock, thread, log, random."""
