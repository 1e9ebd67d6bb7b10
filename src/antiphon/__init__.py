"""antiphon: a self-hosted, drop-in implementation of the OpenAI Realtime API."""

__all__ = ["__version__"]

__version__ = "0.1.0.dev0"
