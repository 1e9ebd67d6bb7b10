"""Engines: VAD, turn judging, speech to text, language model, text to speech. One engine a file."""
