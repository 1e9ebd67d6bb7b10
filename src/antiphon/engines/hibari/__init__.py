"""The parts of the hibari engine: its voices, phonemes, model, and the shaping of what the model speaks."""
