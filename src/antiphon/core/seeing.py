"""Seeing: what a prompt holds of each image, for a model that sees and, by way of a reader, for one that does not."""

from dataclasses import dataclass

from antiphon.core.conversation import Conversation, Entry, KnownImage
from antiphon.core.effects import Effects, sendable
from antiphon.core.image_words import dropped_words, failed_words, image_words, unseen_words
from antiphon.core.limits import Limits
from antiphon.core.outputs import MeasureItem, ReadImage, StopReading
from antiphon.core.prompt import item_text
from antiphon.core.transcription import Place
from antiphon.images.head import ImageHead
from antiphon.protocol.base import given
from antiphon.protocol.items import InputImage, Message
from antiphon.vocabulary.images import ImageReading
from antiphon.vocabulary.llm import ImageContent

__all__ = ["Seeing"]

_LOW_DETAIL_TOKENS = 85
_TILE_TOKENS = 170
_TILE = 512
_LONG_SIDE = 2048
_SHORT_SIDE = 768


@dataclass(slots=True)
class _Reading:
    entry: Entry
    deadline: float


class Seeing:
    """Images to words, begun when the item is there so that the words are there when they are asked for."""

    def __init__(
        self, effects: Effects, conversation: Conversation, limits: Limits, *, model_sees: bool, reads: bool
    ) -> None:
        """``reads``: whether there is a reader for a model that does not see."""
        self._effects = effects
        self._conversation = conversation
        self._limits = limits
        self._model_sees = model_sees
        self._reads = reads
        self._running: dict[Place, _Reading] = {}

    @property
    def deadline(self) -> float | None:
        return min((reading.deadline for reading in self._running.values()), default=None)

    def look(self, entry: Entry, now: float) -> None:
        """Take up the images of a new item."""
        for index, image in entry.images.items():
            assert isinstance(entry.item, Message)
            part = entry.item.content[index]
            assert isinstance(part, InputImage)
            content = ImageContent(part.image_url, given(part.detail, "auto"))
            if self._model_sees:
                image.tokens = _tokens(image.head, content)
            elif not self._reads:
                image.words = unseen_words(image.head)
            else:
                image.pending = True
                self._running[entry.id, index] = _Reading(entry, now + self._limits.image_deadline_s)
                self._effects.order(ReadImage(entry.id, index, content))

    def forget(self, item_id: str) -> None:
        """Nobody wants to know any more what the images of this item hold."""
        for place in [place for place in self._running if place[0] == item_id]:
            image = self._stop(place)
            image.words = dropped_words(image.head)

    def forget_all(self) -> None:
        for place in list(self._running):
            self._stop(place)

    def read(self, place: Place, reading: ImageReading) -> None:
        if place in self._running:
            entry = self._running[place].entry
            # A quarter of what the model can read, for all images of an item: the talk goes on beside them.
            room_characters = self._limits.context_tokens * 3 // 4 // len(entry.images)
            words = image_words(entry.images[place[1]].head, reading, room_characters)
            self._settle(place, sendable(words))

    def unread(self, place: Place) -> None:
        """It could not be read; the prompt says so."""
        if place in self._running:
            self._settle(place, failed_words(self._running[place].entry.images[place[1]].head))

    def overdue(self, now: float) -> None:
        """Give up what takes too long."""
        for place in [place for place, reading in self._running.items() if reading.deadline <= now]:
            self._effects.order(StopReading(*place))
            self.unread(place)

    def _settle(self, place: Place, words: str) -> None:
        entry = self._running.pop(place).entry
        image = entry.images[place[1]]
        image.words, image.pending = words, False
        if entry.settled and self._conversation.get(entry.id) is entry:
            self._effects.order(MeasureItem(entry.id, item_text(entry)))

    def _stop(self, place: Place) -> KnownImage:
        image = self._running.pop(place).entry.images[place[1]]
        image.pending = False
        self._effects.order(StopReading(*place))
        return image


def _tokens(head: ImageHead, content: ImageContent) -> int:
    """What models of OpenAI take for an image; others differ, and the count that they give at the end is the true one.

    Scaled into a square of 2048, then to a short side of 768, it is counted in tiles of 512.
    """
    if content.detail == "low":
        return _LOW_DETAIL_TOKENS
    short, long = sorted((head.width, head.height))
    scale = min(1.0, _LONG_SIDE / long)
    scale = min(scale, _SHORT_SIDE / short)
    across, down = (-(-max(1, round(side * scale)) // _TILE) for side in (short, long))
    return _LOW_DETAIL_TOKENS + _TILE_TOKENS * across * down
