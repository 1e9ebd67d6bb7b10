"""What a call's session has played, where the transport paces it."""

from collections.abc import Callable
from typing import TypeAlias, assert_never

from antiphon.core.inputs import PlayoutCleared
from antiphon.core.outputs import ClearPlayout, DuckPlayout, PlayAudio
from antiphon.runtime.transport import CallMedia

__all__ = ["Playing", "PlayoutOrder"]

PlayoutOrder: TypeAlias = PlayAudio | ClearPlayout | DuckPlayout


class Playing:
    """Performs the orders for a playout; there are none where there is no ``media``."""

    def __init__(self, media: CallMedia | None, report: Callable[[PlayoutCleared], None]) -> None:
        self._media = media
        self._report = report

    def perform(self, order: PlayoutOrder) -> None:
        assert self._media is not None
        match order:
            case PlayAudio():
                self._media.play(order.response_id, order.item_id, order.pcm)
            case ClearPlayout():
                for fact in self._media.clear(order.response_ids):
                    self._report(fact)
            case DuckPlayout():
                self._media.duck(order.on)
            case _:
                assert_never(order)

    async def room(self) -> None:
        """Wait while more is to be played than should wait."""
        if self._media is not None:
            await self._media.room()
