"""The ordered orders of the input being handled, shared by the sub-machines so that there is one order only."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from antiphon.core.inputs import Origin
from antiphon.core.outputs import Emit, Output
from antiphon.protocol.server_events import ServerEvent

__all__ = ["Cause", "Effects", "IdFactory", "sendable"]

IdFactory: TypeAlias = Callable[[str], str]
"""``new_id("item")`` gives ``item_`` and 21 characters; ids are random only in the runtime."""

_PADDING_GRID = 16


def sendable(text: str) -> str:
    """An engine's text without lone surrogates, which no event can carry (a model may write ``\\ud83d``)."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


@dataclass(frozen=True, slots=True)
class Cause:
    """The client's event that is being handled, as the errors that come of it later name it."""

    event_id: str | None
    origin: Origin


class Effects:
    def __init__(self, new_id: IdFactory) -> None:
        self.new_id = new_id
        self.now = 0.0
        """Time of the input being handled, in seconds since the session began."""
        self.cause: Cause | None = None
        self._outputs: list[Output] = []

    def event_id(self) -> str:
        return self.new_id("event")

    def padding(self, delta: str) -> str:
        """Random letters that hide a delta's length, as the real server adds (``obfuscation``)."""
        return self.new_id("pad")[-(_PADDING_GRID - len(delta) % _PADDING_GRID) :]

    def emit(self, event: ServerEvent, origin: Origin | None = None) -> None:
        self._outputs.append(Emit(event, origin))

    def order(self, output: Output) -> None:
        self._outputs.append(output)

    def take(self) -> list[Output]:
        outputs, self._outputs = self._outputs, []
        return outputs
