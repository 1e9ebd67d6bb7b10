"""Random ids in the API's form."""

import secrets
from base64 import urlsafe_b64encode

__all__ = ["new_id"]

_LENGTH = 21


def new_id(prefix: str) -> str:
    """``prefix_`` and 21 random characters (126 bits) of ``A-Za-z0-9_-``."""
    return f"{prefix}_{urlsafe_b64encode(secrets.token_bytes(16))[:_LENGTH].decode()}"
