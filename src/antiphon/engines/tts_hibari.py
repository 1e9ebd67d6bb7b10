"""Text to speech on this machine: hibari, English, about 100 times faster than real time on one core."""

import asyncio
import functools
import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from importlib import metadata
from typing import Annotated, Any, ParamSpec, TypeVar

import msgspec

from antiphon import weights
from antiphon.audio.pcm import samples_to_pcm, silence
from antiphon.engines.base import CallContext, EngineInfo, Samples, parse_options
from antiphon.engines.errors import EngineError, EngineSettingsError
from antiphon.engines.hibari.model import SAMPLE_RATE_HZ, HibariModel, load_model
from antiphon.engines.hibari.phonemes import Phonemes, segments
from antiphon.engines.hibari.voices import DEFAULT_VOICE, VOICES, Voice, voice_named
from antiphon.engines.registry import requires
from antiphon.engines.worker import Worker
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.speech import Clause, SpokenAudio

__all__ = ["HibariOptions", "HibariTts", "create"]

_P = ParamSpec("_P")
_T = TypeVar("_T")

_WEIGHTS = "hibari"
_RESIDUAL_MS = 500
_SLOWEST, _FASTEST = 0.25, 2.0
_SENTENCE_PAUSE_S = 0.38
_CLAUSE_PAUSE_S = 0.19
"""With what is left at the ends of its pieces 0.3 s: as the model pauses at a comma by itself."""
_BREATH_S = 0.02
"""Where a text was cut inside a phrase. With 0.1 s or more Whisper hears the ends of sentences that are none."""


class HibariOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    default_voice: str = DEFAULT_VOICE
    """Speaks for names that are not known."""
    threads: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    """Pieces of speech computed at a time, each on one thread."""
    queue_limit: Annotated[int, msgspec.Meta(ge=0)] = 64
    """Pieces that may wait for a thread; more are refused as overloaded."""
    nice: Annotated[int, msgspec.Meta(ge=0, le=19)] = 0
    """Lowers the priority of the threads (Linux)."""


@requires("hibari", "onnxruntime", weights=lambda _: (_WEIGHTS,))
def create(options: Mapping[str, Any]) -> "HibariTts":
    """Raises ``EngineSettingsError`` for a bad option or damaged weights."""
    parsed = parse_options("tts hibari", options, HibariOptions)
    if parsed.default_voice not in VOICES:
        raise EngineSettingsError(f"tts hibari: default_voice must be one of {', '.join(VOICES)}")
    try:
        directory = weights.directory(_WEIGHTS)
    except weights.WeightsError as error:
        raise EngineSettingsError(f"tts hibari: {error}") from error
    return HibariTts(parsed, load_model(directory))


class HibariTts:
    """A ``TextToSpeech``. A clause is spoken as soon as it comes; long ones come in pieces of up to twelve seconds.

    The same clauses, voice, speed and ``context.item_id`` give the same bytes. ``speed`` is held between 0.25 and 2.
    """

    sample_rate_hz = SAMPLE_RATE_HZ
    voices = tuple(VOICES)

    def __init__(self, options: HibariOptions, model: HibariModel) -> None:
        self._options = options
        self._model = model
        self._worker = Worker("hibari", threads=options.threads, nice=options.nice, queue_limit=options.queue_limit)
        self.info = EngineInfo("hibari", metadata.version("hibari-tts"), _RESIDUAL_MS)

    @property
    def load(self) -> int:
        """Pieces of speech being computed or waiting."""
        return self._worker.load

    async def warm_up(self) -> None:
        """Speak a known word, an unknown one and a number, in a voice that takes every step."""
        for phonemes in await self._worker.run(self._model.phonemes, "Hello, Zwyxel 12.", 1.0):
            await self._worker.run(self._model.speak, phonemes, VOICES["echo"], speed=1.0, seed=0)

    async def aclose(self) -> None:
        self._worker.close()

    async def synthesize(
        self, clauses: AsyncIterable[Clause], *, voice: str, speed: float, context: CallContext
    ) -> AsyncGenerator[SpokenAudio, None]:
        """See the Protocol. The pause that a clause ends with comes before the next one, not after the last."""
        speech = _Speech(
            self._model,
            self._worker,
            voice=voice_named(voice, self._options.default_voice),
            speed=min(max(speed, _SLOWEST), _FASTEST),
            context=context,
        )
        start = 0
        async for clause in clauses:
            async with aclosing(speech.of(clause, start)) as pieces:
                async for piece in pieces:
                    yield piece
            start += len(clause.text)


class _Speech:
    """One call of ``synthesize``."""

    def __init__(self, model: HibariModel, worker: Worker, *, voice: Voice, speed: float, context: CallContext) -> None:
        self._model = model
        self._worker = worker
        self._voice = voice
        self._speed = speed
        self._context = context
        self._pause_s = 0.0
        self._deadline_s = context.deadline_s

    async def of(self, clause: Clause, start: int) -> AsyncGenerator[SpokenAudio, None]:
        """The pieces of one clause, whose text begins at ``start``."""
        parts = segments(clause.spoken)
        for part, from_share, to_share in _shares(parts, [len(part) for part in parts]):
            pieces = await self._compute(self._model.phonemes, part, self._speed)
            for piece, first, last in _shares(pieces, [len(piece.symbols) for piece in pieces]):
                samples = await self._say(piece, start, from_share, first)
                if not len(samples):
                    continue
                width = to_share - from_share
                span = (from_share + first * width, from_share + last * width)
                yield SpokenAudio(
                    silence(int(self._pause_s * SAMPLE_RATE_HZ)) + samples_to_pcm(samples),
                    *(start + round(share * len(clause.text)) for share in span),
                )
                self._pause_s = _pause_s(piece.end) / self._speed
                self._deadline_s = None
        if clause.leads_on:
            self._pause_s = min(self._pause_s, _BREATH_S / self._speed)

    async def _say(self, piece: Phonemes, *place: float) -> Samples:
        name = f"{self._context.item_id} {place}".encode(errors="surrogatepass")
        seed = int.from_bytes(hashlib.blake2b(name, digest_size=8).digest())
        return await self._compute(
            functools.partial(self._model.speak, piece, self._voice, speed=self._speed, seed=seed)
        )

    async def _compute(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            async with asyncio.timeout(self._deadline_s):
                return await self._worker.run(function, *args, **kwargs)
        except TimeoutError as error:
            raise EngineError(EngineErrorKind.TIMEOUT, "hibari: no speech came in time") from error


def _shares(pieces: Sequence[_T], sizes: Sequence[int]) -> Iterator[tuple[_T, float, float]]:
    """Each piece with where it begins and ends in the whole, from 0 to 1."""
    total = sum(sizes)
    seen = 0
    for piece, size in zip(pieces, sizes, strict=True):
        yield piece, seen / total, (seen + size) / total
        seen += size


def _pause_s(end: str) -> float:
    if not end:
        return _BREATH_S
    return _SENTENCE_PAUSE_S if end in ".!?…" else _CLAUSE_PAUSE_S
