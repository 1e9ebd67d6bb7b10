"""The ordered items of a session, what the core knows about each, and the audio that is kept of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from msgspec import structs

from antiphon.core.playout import Playout
from antiphon.images.head import ImageHead
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.items import InputAudio, InputImage, Item, Message, OutputAudio
from antiphon.protocol.session_config import FormatName
from antiphon.turns.echo import is_echo

__all__ = ["Conversation", "Entry", "KeptAudio", "KnownImage", "TranscriptState"]

_AUDIO_BLOCK_BYTES = 256 * 1024
_BYTES_PER_MS: dict[FormatName, int] = {"audio/pcm": 48, "audio/pcmu": 8, "audio/pcma": 8}

_ECHO_WORDS = 3
"""So many of the assistant's words in their order are an echo, where the client was told that somebody spoke."""

TranscriptState = Literal["pending", "known", "failed"]


@dataclass(slots=True)
class KeptAudio:
    """Audio of one content part, kept for ``conversation.item.retrieve``."""

    data: bytearray
    format: FormatName
    """User audio is kept as PCM at the session's rate, assistant audio as it was sent."""

    def cut(self, end_ms: int) -> None:
        """Keep the first ``end_ms``."""
        del self.data[end_ms * _BYTES_PER_MS[self.format] :]


@dataclass(slots=True)
class KnownImage:
    """What is known of one image part."""

    head: ImageHead
    words: str = ""
    """What a prompt says instead of it; empty for a model that sees."""
    tokens: int = 0
    """What it takes of the prompt of a model that sees."""
    pending: bool = False
    """It is being read."""


@dataclass(slots=True, eq=False)
class Entry:
    """An item and what is known about it beyond the wire. Every entry is its own: equal words are two items."""

    item: Item
    id: str
    transcripts: dict[int, TranscriptState] = field(default_factory=dict)
    """By content index, for user audio."""
    user_audio_ms: dict[int, int] = field(default_factory=dict)
    """How long each part of user audio is, whether or not it is still kept."""
    audio: dict[int, KeptAudio] = field(default_factory=dict)
    images: dict[int, KnownImage] = field(default_factory=dict)
    """By content index."""
    playout: Playout | None = None
    """For assistant audio."""
    silent: bool = False
    """Of a user who said nothing until the idle time-out."""
    continues: bool = False
    """Of a user who went on after a turn that was taken to be over: one thought with the user's words before it."""
    overheard: str = ""
    """What the assistant said while this was spoken: words that only repeat it are its echo."""
    tokens: int | None = None
    """Measured by the language model; None until then."""
    sent_bytes: int = 0
    """Its JSON as the client sent it, without audio and images; 0 for items that no client made."""
    received_bytes: int = 0
    """What an MCP server sent for it."""
    _audio_dropped: bool = False

    @property
    def pending(self) -> bool:
        return "pending" in self.transcripts.values()

    @property
    def settled(self) -> bool:
        """Whether all its words are known, or known to be missing."""
        return not self.pending and not any(image.pending for image in self.images.values())

    def lacks_words(self, *, audio_in: bool) -> bool:
        """Whether a prompt has to wait for a transcript, or for an image that is being read.

        A model that hears (``audio_in``) takes the audio instead.
        """
        return any(image.pending for image in self.images.values()) or any(
            state == "pending" and not (audio_in and index in self.audio) for index, state in self.transcripts.items()
        )

    @property
    def audio_bytes(self) -> int:
        return sum(len(kept.data) for kept in self.audio.values())

    @property
    def image_bytes(self) -> int:
        if not isinstance(self.item, Message):
            return 0
        return sum(len(part.image_url) for part in self.item.content if isinstance(part, InputImage))

    @property
    def image_tokens(self) -> int:
        """What its images take of the prompt of a model that sees."""
        return sum(image.tokens for image in self.images.values())

    def keep_audio(self, content_index: int, data: bytes, format: FormatName) -> None:
        """Keep more audio of a part; nothing more once its audio was dropped, since the rest alone is of no use."""
        if self.playout is None:
            length_ms = len(data) // _BYTES_PER_MS[format]
            self.user_audio_ms[content_index] = self.user_audio_ms.get(content_index, 0) + length_ms
        if not self._audio_dropped:
            self.audio.setdefault(content_index, KeptAudio(bytearray(), format)).data += data

    def grew_by_a_block(self, size_bytes: int) -> bool:
        """Whether the last ``size_bytes`` of audio were a reason to look at what all items keep."""
        total = self.audio_bytes
        return total // _AUDIO_BLOCK_BYTES != (total - size_bytes) // _AUDIO_BLOCK_BYTES

    def drop_audio(self) -> None:
        self.audio.clear()
        self._audio_dropped = True

    @property
    def wordless(self) -> bool:
        """Whether nobody said a word in its audio, as far as that is known."""
        heard = bool(self.transcripts) and set(self.transcripts.values()) == {"known"}
        return heard and not self.user_text().strip()

    @property
    def says_something(self) -> bool:
        """Whether its audio holds words, and more than an echo of the assistant's."""
        text = self.user_text().strip()
        return bool(text) and not self.is_echo

    @property
    def is_echo(self) -> bool:
        return bool(self.overheard) and is_echo(self.user_text(), self.overheard, least_words=_ECHO_WORDS)

    def user_text(self) -> str:
        """The words of its user audio, parts joined."""
        if not isinstance(self.item, Message):
            return ""
        parts = (part.transcript or "" for part in self.item.content if isinstance(part, InputAudio))
        return " ".join(text for text in parts if text)

    def set_transcript(self, content_index: int, text: str, state: TranscriptState) -> None:
        assert isinstance(self.item, Message)
        content = list(self.item.content)
        part = content[content_index]
        assert isinstance(part, InputAudio)
        content[content_index] = structs.replace(part, transcript=text if state == "known" else None)
        self.item = structs.replace(self.item, content=content)
        self.transcripts[content_index] = state

    def cut_to_heard(self) -> None:
        """After a truncation the item holds only the words that were heard."""
        assert isinstance(self.item, Message)
        assert self.playout is not None
        content = list(self.item.content)
        part = content[0]
        if isinstance(part, OutputAudio) and part.transcript:
            content[0] = OutputAudio(transcript=self.playout.heard_text(part.transcript))
            self.item = structs.replace(self.item, content=content)


class Conversation:
    """Items in order. All places are given by ids; a refused call changes nothing."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._by_id: dict[str, Entry] = {}
        self._sent_bytes = 0
        self._image_bytes = 0
        self.revision = 0
        """Grows whenever items come or go, or somebody says that one is no longer what it was."""

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, item_id: str) -> Entry | None:
        return self._by_id.get(item_id)

    def require(self, item_id: str, verb: str, doing: str) -> Entry:
        """The entry, or the API's error for an id that does not exist."""
        entry = self._by_id.get(item_id)
        if entry is None:
            raise ProtocolError(
                f"item_{verb}_invalid_item_id",
                f"Error {doing} item: the item with id '{item_id[:128]}' does not exist.",
            )
        return entry

    @property
    def last_id(self) -> str | None:
        return self._entries[-1].id if self._entries else None

    def place_after(self, previous_item_id: str | None) -> int:
        """The index for a new item: None appends, ``"root"`` is the front. An unknown id raises ``ProtocolError``."""
        if not previous_item_id:
            return len(self._entries)
        if previous_item_id == "root":
            return 0
        entry = self._by_id.get(previous_item_id)
        if entry is None:
            raise ProtocolError(
                "item_create_invalid_previous_item_id",
                f"Error creating item: the previous item with id '{previous_item_id[:128]}' does not exist.",
                "previous_item_id",
            )
        return self._entries.index(entry) + 1

    def add(self, entry: Entry, place: int | None = None) -> str | None:
        """Insert at ``place`` (None: the end). Returns the id of the item before it."""
        self.revision += 1
        place = len(self._entries) if place is None else place
        self._entries.insert(place, entry)
        self._by_id[entry.id] = entry
        self._sent_bytes += entry.sent_bytes
        self._image_bytes += entry.image_bytes
        return self._entries[place - 1].id if place else None

    def delete(self, entry: Entry) -> None:
        self.revision += 1
        self._entries.remove(entry)
        del self._by_id[entry.id]
        self._sent_bytes -= entry.sent_bytes
        self._image_bytes -= entry.image_bytes

    def previous_id(self, item_id: str) -> str | None:
        place = self._entries.index(self._by_id[item_id])
        return self._entries[place - 1].id if place else None

    @property
    def audio_bytes(self) -> int:
        return sum(entry.audio_bytes for entry in self._entries)

    @property
    def sent_bytes(self) -> int:
        return self._sent_bytes

    @property
    def received_bytes(self) -> int:
        return sum(entry.received_bytes for entry in self._entries)

    @property
    def image_bytes(self) -> int:
        return self._image_bytes

    @property
    def image_count(self) -> int:
        return sum(len(entry.images) for entry in self._entries)

    def shed_audio(self, max_bytes: int) -> None:
        """Keep audio of the newest items within ``max_bytes``; older items stay, without audio."""
        left = max_bytes
        for entry in reversed(self._entries):
            left -= entry.audio_bytes
            if left < 0 and entry.audio:
                entry.drop_audio()
