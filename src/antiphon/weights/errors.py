"""What can go wrong with weights. Every message is one line, and no message holds a credential."""

import re

__all__ = ["CacheError", "WeightsError", "WeightsMissing", "one_line"]

_USER_INFO = re.compile(r"([a-z][a-z0-9+.-]*://)[^\s'\"<>]*@", re.IGNORECASE)
_QUERY = re.compile(r"([a-z][a-z0-9+.-]*://[^\s'\"<>?]*)\?[^\s'\"<>]*", re.IGNORECASE)
_LONGEST_CHARS = 400


class WeightsError(Exception):
    """Weights cannot be found or fetched; the message says how to mend it."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message, longest_chars=None))


class WeightsMissing(WeightsError):  # noqa: N818 - a state to be mended, not a fault
    """The weights of a model are not on this machine; the message names the command that fetches them."""


class CacheError(WeightsError):
    """The cache directory cannot be written; no source can help with that."""


def one_line(text: str, *, longest_chars: int | None = _LONGEST_CHARS) -> str:
    """Foreign text fit for a message: white space folded, user names, passwords and queries taken out of addresses."""
    folded = _QUERY.sub(r"\1?***", _USER_INFO.sub(r"\1***@", " ".join(text.split())))
    if longest_chars is None or len(folded) <= longest_chars:
        return folded
    return folded[: longest_chars - 3] + "..."
