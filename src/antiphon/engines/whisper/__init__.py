"""What the Whisper engine is made of: languages, windows, pauses, the decode policy, partials, the model."""
