"""What the assistant was heard to say in the last seconds."""

from collections import deque

from antiphon.core.response_items import OpenMessage

__all__ = ["LATELY_S", "LatelySaid"]

LATELY_S = 5.0
_AHEAD_S = 1.5
"""Where a word is within its audio is known only roughly, and reckoned late rather than early."""
_MESSAGES = 8


class LatelySaid:
    """The newest spoken messages, and how far each has been heard."""

    def __init__(self) -> None:
        self._messages: deque[OpenMessage] = deque(maxlen=_MESSAGES)

    def note(self, message: OpenMessage) -> None:
        """Audio of this message was given to whoever plays it."""
        if not self._messages or self._messages[-1] is not message:
            self._messages.append(message)

    def words(self, now: float, back_s: float) -> str:
        """The words that were audible within the last ``back_s`` seconds, and those that may be by now."""
        return " ".join(filter(None, (_said(message, now, back_s) for message in self._messages)))


def _said(message: OpenMessage, now: float, back_s: float) -> str:
    playout = message.entry.playout
    return "" if playout is None else playout.text_between(message.text, now - back_s, now + _AHEAD_S)
