"""One orchestrator a session: turns what happens into core inputs and performs the core's outputs. Decides nothing."""
