"""Random ids in the API's form."""

import secrets

__all__ = ["new_id"]

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_LENGTH = 21


def new_id(prefix: str) -> str:
    """``prefix_`` and 21 random characters (126 bits)."""
    bits = secrets.randbits(6 * _LENGTH)
    return prefix + "_" + "".join([_ALPHABET[bits >> shift & 63] for shift in range(0, 6 * _LENGTH, 6)])
