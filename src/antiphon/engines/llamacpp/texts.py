"""Texts and their tokens, kept because a conversation's older turns come again with every request. Pure."""

__all__ = ["TextCache"]

_BYTES_PER_TOKEN = 8


class TextCache:
    """The texts used last, up to about ``most_bytes``."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._tokens: dict[str, list[int]] = {}
        self._bytes = 0

    def get(self, text: str) -> list[int] | None:
        tokens = self._tokens.pop(text, None)
        if tokens is not None:
            self._tokens[text] = tokens  # now the one used last
        return tokens

    def put(self, text: str, tokens: list[int]) -> None:
        self._drop(text)
        self._tokens[text] = tokens
        self._bytes += _size(text, tokens)
        while self._bytes > self._most_bytes and self._tokens:
            self._drop(next(iter(self._tokens)))

    def _drop(self, text: str) -> None:
        tokens = self._tokens.pop(text, None)
        if tokens is not None:
            self._bytes -= _size(text, tokens)


def _size(text: str, tokens: list[int]) -> int:
    return 4 * len(text) + _BYTES_PER_TOKEN * len(tokens)
