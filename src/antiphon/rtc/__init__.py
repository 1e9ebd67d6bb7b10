"""A voice-only WebRTC endpoint that knows nothing of the Realtime API: ICE-lite, one port for all its calls."""
