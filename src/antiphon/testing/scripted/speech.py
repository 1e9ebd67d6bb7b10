"""Ears and a voice that follow a script."""

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from weakref import WeakSet

import numpy as np

from antiphon.engines.base import CallContext, Samples
from antiphon.engines.errors import EngineError
from antiphon.testing.scripted.steps import HANG, Say, ScriptedEngine, Step, Trouble, read_steps, undergo
from antiphon.testing.signals import tone
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.speech import Clause, NoiseKind, SpokenAudio, SttOptions, Transcript

__all__ = [
    "ScriptedNoiseReducer",
    "ScriptedStt",
    "ScriptedTts",
    "ScriptedTurnJudge",
    "ScriptedVad",
    "SttScript",
    "SttStep",
]

_KEPT = 32
_AUDIBLE_RMS = 0.01
"""-40 dBFS: a tone is speech, silence and faint noise are not."""

SttStep = Transcript | Trouble
SttScript = str | Sequence[SttStep]
"""One transcription: a text is the final transcript, its words become stable one by one."""


@dataclass(slots=True)
class _WindowCount:
    windows: int = 0


class ScriptedVad(ScriptedEngine):
    """Probability 1.0 where the RMS of a window is above ``threshold_rms``, else 0.0: tones are speech."""

    sample_rate_hz = 16_000
    window_samples = 512

    def __init__(self, *, threshold_rms: float = _AUDIBLE_RMS) -> None:
        super().__init__("vad")
        self.threshold_rms = threshold_rms
        self.error: EngineError | None = None
        """Raised by ``detect`` while it is set."""

    def new_state(self) -> _WindowCount:
        return _WindowCount()

    def detect(self, windows: Samples, states: Sequence[_WindowCount]) -> Samples:
        with self.counted():
            if self.error is not None:
                raise self.error
            for state in states:
                state.windows += 1
            rms = np.sqrt(np.mean(np.square(windows), axis=1))
            return np.where(rms > self.threshold_rms, np.float32(1), np.float32(0))


class ScriptedNoiseReducer(ScriptedEngine):
    """Makes everything half as loud (``near_field``) or a quarter as loud, later by ``delay_samples``."""

    sample_rate_hz = 16_000
    frame_samples = 160

    def __init__(self, *, delay_samples: int = 96) -> None:
        super().__init__("noise reducer")
        self.delay_samples = delay_samples
        self.filters: WeakSet[_Quieter] = WeakSet()
        """Those that sessions hold."""
        self.error: Exception | None = None
        """Raised by the filters while it is set."""

    def new_filter(self, kind: NoiseKind) -> "_Quieter":
        filter_ = _Quieter(self, 0.5 if kind == "near_field" else 0.25)
        self.filters.add(filter_)
        return filter_


class _Quieter:
    def __init__(self, reducer: ScriptedNoiseReducer, gain: float) -> None:
        self._reducer = reducer
        self._gain = np.float32(gain)
        self._late = np.zeros(reducer.delay_samples, np.float32)

    def filter(self, frame: Samples) -> Samples:
        if self._reducer.error is not None:
            raise self._reducer.error
        joined = np.concatenate((self._late, frame * self._gain))
        self._late = joined[len(frame) :]
        return joined[: len(frame)]


class ScriptedStt(ScriptedEngine):
    """Plays one script for each transcription, when the audio has ended.

    ``scripts``: one after the other, the last one again and again; or asked with the index of the call. Without scripts
    the transcript is steered by ``options.prompt``, see ``antiphon.testing.scripted``. Where partials are wanted one
    more word of a text is stable after every ``partial_every_ms`` of audio; its hypothesis holds one word more.
    ``delay_s`` passes before the final.

    A mark is answered with a thorough hypothesis: what ``hypotheses(call, mark)`` says (None: no answer), both counted
    from 0; without it what the final transcript would be, if the script is a text or there is none. Before it passes
    ``hypothesis_delay_s`` (None: ``delay_s``), in which no audio is taken. A final that would only confirm the last
    answer, as nothing audible came since, takes no time of its own.
    """

    def __init__(
        self,
        scripts: Sequence[SttScript] | Callable[[int], SttScript] = (),
        *,
        sample_rate_hz: int = 16_000,
        delay_s: float = 0.0,
        partial_every_ms: int = 400,
        hypotheses: Callable[[int, int], str | None] | None = None,
        hypothesis_delay_s: float | None = None,
    ) -> None:
        super().__init__("stt")
        self.sample_rate_hz = sample_rate_hz
        self.delay_s = delay_s
        self.partial_every_ms = partial_every_ms
        self.hypotheses = hypotheses
        self.hypothesis_delay_s = hypothesis_delay_s
        self.heard: deque[bytes] = deque(maxlen=_KEPT)
        """The audio of each call that was heard to its end, the newest 32."""
        self.marks: deque[tuple[str, int]] = deque(maxlen=_KEPT)
        """Where pauses were marked: the item, and how many milliseconds of its audio came before; the newest 32."""
        self._scripts = scripts

    async def transcribe(
        self, audio: AsyncIterable[bytes], *, context: CallContext, options: SttOptions
    ) -> AsyncGenerator[Transcript, None]:
        with self.counted() as call:
            script = self._script(call, options)
            words = re.findall(r"\S+", script) if isinstance(script, str) and options.partials else []
            pcm = bytearray()
            stable = marks = 0
            answered_bytes = -1
            async for chunk in audio:
                if not chunk:
                    self.marks.append((context.item_id, self._ms(pcm)))
                    answer = self._answer(call, marks, script, pcm)
                    marks += 1
                    if answer is not None:
                        await self._think()
                        answered_bytes = len(pcm)
                        yield self._hypothesis(words[:stable], answer, pcm, thorough=True)
                    continue
                pcm += chunk
                due = min(self._ms(pcm) // self.partial_every_ms, len(words) - 1)
                while stable < due:
                    stable += 1
                    yield self._hypothesis(words[:stable], " ".join(words[: stable + 1]), pcm)
            if len(pcm) % 2:
                raise EngineError(EngineErrorKind.BAD_INPUT, "the audio ends with half a sample")
            self.heard.append(bytes(pcm))
            if self.delay_s and _audible_bytes(pcm) > answered_bytes:
                await asyncio.sleep(self.delay_s)
            async for transcript in _played(self._default(pcm) if script is None else script):
                yield transcript

    def _answer(self, call: int, mark: int, script: SttScript | None, pcm: bytearray) -> str | None:
        if self.hypotheses is not None:
            return self.hypotheses(call, mark)
        if script is None:
            return self._default(pcm)
        return script if isinstance(script, str) else None

    async def _think(self) -> None:
        delay_s = self.delay_s if self.hypothesis_delay_s is None else self.hypothesis_delay_s
        if delay_s:
            await asyncio.sleep(delay_s)

    def _hypothesis(self, stable: Sequence[str], text: str, pcm: bytearray, *, thorough: bool = False) -> Transcript:
        audio_s = len(pcm) // 2 / self.sample_rate_hz
        return Transcript(" ".join(stable), is_final=False, hypothesis=text, audio_s=audio_s, thorough=thorough)

    def _script(self, call: int, options: SttOptions) -> SttScript | None:
        if callable(self._scripts):
            return self._scripts(call)
        if self._scripts:
            return self._scripts[min(call, len(self._scripts) - 1)]
        steps = read_steps(options.prompt)
        if steps is None:
            return None
        if len(steps) == 1 and isinstance(steps[0], Say):
            return steps[0].text
        return list(_transcripts(steps, partials=options.partials))

    def _default(self, pcm: bytearray) -> str:
        """Silence at the end adds nothing to it, as it adds no words for a recogniser."""
        audible_ms = _audible_bytes(pcm) // 2 * 1000 // self.sample_rate_hz
        return f"I heard {-(-audible_ms // 10) * 10} milliseconds." if audible_ms else ""

    def _ms(self, pcm: bytearray) -> int:
        return len(pcm) // 2 * 1000 // self.sample_rate_hz


def _audible_bytes(pcm: bytearray) -> int:
    """How far what is audible reaches."""
    loud = np.flatnonzero(np.abs(np.frombuffer(pcm, "<i2", len(pcm) // 2).astype(np.int32)) > _AUDIBLE_RMS * 32768)
    return 2 * (int(loud[-1]) + 1) if len(loud) else 0


def _transcripts(steps: Iterable[Step], *, partials: bool) -> Iterator[SttStep]:
    """What is said before the last step is stable early; all of it together is the final transcript."""
    said: list[str] = []
    for step in steps:
        if isinstance(step, Say):
            said.append(step.text)
            if partials:
                yield Transcript(" ".join(said), is_final=False)
        elif isinstance(step, Trouble):
            yield step
    yield Transcript(" ".join(said), is_final=True)


async def _played(script: SttScript) -> AsyncGenerator[Transcript, None]:
    for step in [Transcript(script, is_final=True)] if isinstance(script, str) else script:
        if isinstance(step, Transcript):
            yield step
        else:
            await undergo(step)


class ScriptedTts(ScriptedEngine):
    """Speaks a clause as a tone of ``ms_per_character`` for each character of its spoken form.

    Every piece of up to ``chunk_ms`` carries exactly the span of text that it speaks. Before each clause ``delay_s``
    passes and ``trouble(call, clause)``, both counted from 0, is gone through. A clause that holds "speech fails here"
    fails, "speech hangs here" hangs.
    """

    def __init__(
        self,
        *,
        ms_per_character: int = 20,
        chunk_ms: int = 200,
        sample_rate_hz: int = 24_000,
        voices: tuple[str, ...] = ("low", "high"),
        delay_s: float = 0.0,
        trouble: Callable[[int, int], Iterable[Trouble]] = lambda call, clause: (),
    ) -> None:
        super().__init__("tts")
        self.ms_per_character = ms_per_character
        self.chunk_ms = chunk_ms
        self.sample_rate_hz = sample_rate_hz
        self.voices = voices
        self.delay_s = delay_s
        self.trouble = trouble
        self.spoken: deque[Clause] = deque(maxlen=_KEPT)
        """The clauses whose speech began, the newest 32."""
        self.contexts: deque[CallContext] = deque(maxlen=_KEPT)

    async def synthesize(
        self, clauses: AsyncIterable[Clause], *, voice: str, speed: float, context: CallContext
    ) -> AsyncGenerator[SpokenAudio, None]:
        self.contexts.append(context)
        with self.counted() as call:
            offset = index = 0
            async for clause in clauses:
                await self._before(call, index, clause)
                for piece in self._speak(clause, offset, voice, speed):
                    yield piece
                offset += len(clause.text)
                index += 1

    async def _before(self, call: int, index: int, clause: Clause) -> None:
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        for trouble in self.trouble(call, index):
            await undergo(trouble)
        spoken = clause.spoken.casefold()
        if "speech fails here" in spoken:
            raise EngineError(EngineErrorKind.FAILED, "failed as told")
        if "speech hangs here" in spoken:
            await undergo(HANG)
        self.spoken.append(clause)

    def _speak(self, clause: Clause, offset: int, voice: str, speed: float) -> Iterator[SpokenAudio]:
        pitch = self.voices.index(voice) if voice in self.voices else 0
        total_ms = int(len(clause.spoken) * self.ms_per_character / speed)
        for start_ms in range(0, total_ms, self.chunk_ms):
            end_ms = min(start_ms + self.chunk_ms, total_ms)
            pcm = tone(end_ms - start_ms, sample_rate_hz=self.sample_rate_hz, frequency_hz=220 * (pitch + 1))
            yield SpokenAudio(
                pcm,
                text_start=offset + len(clause.text) * start_ms // total_ms,
                text_end=offset + len(clause.text) * end_ms // total_ms,
            )


class ScriptedTurnJudge(ScriptedEngine):
    """Gives one script entry for each judgement; then, or without any, judges by the text.

    A text that ends with ``...``, a comma or "and" is not complete (0.1), any other is (0.9).
    """

    sample_rate_hz = 16_000

    def __init__(self, scripts: Iterable[float | Trouble] = (), *, delay_s: float = 0.0) -> None:
        super().__init__("turn judge")
        self.delay_s = delay_s
        self.judged: deque[str] = deque(maxlen=_KEPT)
        """The texts that were judged, the newest 32."""
        self.judged_ms: deque[int] = deque(maxlen=_KEPT)
        """How much audio was given with each of them."""
        self._left = iter(scripts)

    async def judge(self, samples: Samples, *, text: str, context: CallContext) -> float:
        with self.counted():
            self.judged.append(text)
            self.judged_ms.append(len(samples) * 1000 // self.sample_rate_hz)
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            entry = next(self._left, None)
            if entry is not None and not isinstance(entry, float | int):
                await undergo(entry)
                entry = None
            return float(entry) if entry is not None else _completeness(text)


def _completeness(text: str) -> float:
    return 0.1 if text.rstrip().casefold().endswith(("...", "…", ",", " and")) else 0.9
