"""Names of tools as the model is told them."""

import re

__all__ = ["NAME_MAX", "legal_name"]

NAME_MAX = 64
_ILLEGAL = re.compile(r"[^A-Za-z0-9_-]")


def legal_name(name: str) -> str:
    """A name that every model server takes."""
    return _ILLEGAL.sub("_", name)[:NAME_MAX] or "tool"
