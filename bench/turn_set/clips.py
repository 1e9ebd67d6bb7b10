"""One labelled piece of input audio, and the folder that holds all of them."""

import hashlib
import os
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

__all__ = ["RATE_HZ", "Clip", "Kind", "Span", "folder", "is_made", "load", "save"]

RATE_HZ = 24_000

Kind = Literal["question", "pause", "filler", "noisy", "not speech", "barge-in", "backchannel", "cough", "echo"]
"""``question``: one plain turn. ``pause``, ``filler``: one turn with a pause inside, after a word or after a filler.
``noisy``: one turn in noise. ``not speech``: no turn at all. The others come while the assistant talks: ``barge-in``
is to interrupt it, ``backchannel``, ``cough`` and ``echo`` are not."""

Span = tuple[int, int]
"""The first sample of a voiced stretch and the one behind its last."""

_LABELS = "labels.json"


@dataclass(frozen=True)
class Clip:
    name: str
    kind: Kind
    voice: str
    words: str
    spoken: tuple[Span, ...]
    """The voiced stretches of the one turn; where there are several, none of the pauses between them ends it."""
    noise: str = ""
    """What sort of noise, and how far below the speech."""
    sha256: str = ""
    pcm: bytes = b""
    """At ``RATE_HZ``, s16le mono. It goes on for long enough after the turn."""

    @property
    def over_answer(self) -> bool:
        """Whether the assistant talks meanwhile."""
        return self.kind in ("barge-in", "backchannel", "cough", "echo")

    @property
    def begins_s(self) -> float:
        return self.spoken[0][0] / RATE_HZ

    @property
    def ends_s(self) -> float:
        """The last voiced sample."""
        return self.spoken[-1][1] / RATE_HZ


class _Label(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    kind: Kind
    voice: str
    words: str
    spoken: tuple[Span, ...]
    noise: str
    sha256: str


def folder() -> Path:
    """``$TURN_SET``, else ``.cache/turn_set`` in the repository."""
    return Path(os.environ.get("TURN_SET") or Path(__file__).parents[2] / ".cache" / "turn_set")


def is_made(where: Path) -> bool:
    return (where / _LABELS).is_file()


def save(clips: Sequence[Clip], into: Path) -> None:
    """Replaces what is there."""
    into.mkdir(parents=True, exist_ok=True)
    for old in into.glob("*.wav"):
        old.unlink()
    labels = []
    for clip in clips:
        with wave.open(str(into / f"{clip.name}.wav"), "wb") as file:
            file.setparams((1, 2, RATE_HZ, 0, "NONE", "not compressed"))
            file.writeframes(clip.pcm)
        sha256 = hashlib.sha256(clip.pcm).hexdigest()
        labels.append(_Label(name=clip.name, kind=clip.kind, voice=clip.voice, words=clip.words, spoken=clip.spoken,
                             noise=clip.noise, sha256=sha256))  # fmt: skip
    (into / _LABELS).write_bytes(msgspec.json.format(msgspec.json.encode(labels), indent=1))


def load(from_: Path | None = None, *, kinds: Sequence[Kind] = ()) -> list[Clip]:
    """Those of the set that ``python -m bench.turn_set`` made, all or of some kinds. Raises ``FileNotFoundError``."""
    where = from_ or folder()
    labels = msgspec.json.decode((where / _LABELS).read_bytes(), type=list[_Label])
    return [_read(where, label) for label in labels if not kinds or label.kind in kinds]


def _read(where: Path, label: _Label) -> Clip:
    with wave.open(str(where / f"{label.name}.wav")) as file:
        pcm = file.readframes(file.getnframes())
    return Clip(label.name, label.kind, label.voice, label.words, label.spoken, label.noise, label.sha256, pcm)
