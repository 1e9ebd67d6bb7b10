"""The transcriptions under way: what the recogniser is told, and what the client is told of what it says."""

from dataclasses import dataclass, replace

from antiphon.core.effects import Effects
from antiphon.core.inputs import INPUT_HZ
from antiphon.core.limits import Limits
from antiphon.core.outputs import (
    AskHypothesis,
    EndTranscription,
    FeedTranscription,
    StartTranscription,
    StopTranscription,
)
from antiphon.protocol.base import UNSET
from antiphon.protocol.server_events import (
    ConversationItemInputAudioTranscriptionCompleted,
    ConversationItemInputAudioTranscriptionDelta,
    ConversationItemInputAudioTranscriptionFailed,
    DurationUsage,
    Logprob,
    TokensUsage,
    TokenUsageDetails,
    TranscriptionError,
    TranscriptionLanguage,
    TranscriptionUsage,
)
from antiphon.protocol.session_config import InputTranscription
from antiphon.vocabulary.errors import EngineErrorKind, EngineFault
from antiphon.vocabulary.speech import SttOptions, Transcript

__all__ = ["Place", "Transcriptions", "Wanted", "Words", "options_for"]

Place = tuple[str, int]
"""Item id and content index."""

_BYTES_PER_S = 2 * INPUT_HZ
_LANGUAGES = 128
"""More than there are codes that a recogniser knows."""
_HINTS_CHARACTERS = 4_096
"""Hints cost time with every decode, and recognisers heed the end of them only (Whisper: its last 224 tokens)."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a transcription is to be made, and what of it the client sees."""

    config: InputTranscription | None
    """The client's hints; None where it gave none."""
    announced: bool
    """Whether the client gets events about it."""
    logprobs: bool = False
    partials: bool = False


@dataclass(frozen=True, slots=True)
class Words:
    """What is known of an utterance's words."""

    text: str
    covers_samples: int
    """How much of it they are the words of, from its beginning."""
    thorough: bool
    """They are its words, if no more is said."""


@dataclass(slots=True)
class _Running:
    wanted: Wanted
    held: bool = False
    """Nobody knows of the utterance, and perhaps nobody ever will."""
    said: Transcript | None = None
    """The newest that the recogniser said."""
    asked: bool = False
    """It was asked for a hypothesis and has not answered, and nobody has spoken since."""
    voiced_samples: int | None = None
    """Of an utterance that has ended: a thorough hypothesis that covers so much has all its words."""
    over: bool = False
    """Its last word is known, or that there is none: it stays until somebody asks what it was."""
    shown: str = ""
    """What the deltas so far say."""
    fed_bytes: int = 0
    item_bytes: int = 0
    """The audio of its item: what was fed of an utterance may reach a little further."""
    deadline: float | None = None
    """Set once all its audio was given."""
    broken: bool = False
    """It ended before its audio did; it is begun again once all audio is there."""


def options_for(wanted: Wanted) -> SttOptions:
    """What the recogniser is told: the client's language and hints, where it gave any."""
    config = wanted.config
    if config is None:
        return SttOptions(partials=wanted.partials)
    languages = tuple(dict.fromkeys(config.languages or ()))[:_LANGUAGES]
    language = config.language or (languages[0] if len(languages) == 1 else None)
    hints = [config.prompt or "", *(config.keywords or [])]
    prompt = ", ".join(filter(None, hints))[-_HINTS_CHARACTERS:]
    expected = () if language else languages
    return SttOptions(language=language, languages=expected, prompt=prompt, partials=wanted.partials)


class Transcriptions:
    """The transcriptions under way, by item and content part."""

    def __init__(self, effects: Effects, limits: Limits) -> None:
        self._effects = effects
        self._limits = limits
        self._running: dict[Place, _Running] = {}

    # --- the recogniser's work -------------------------------------------------------------------------------------

    @property
    def deadline(self) -> float | None:
        return min((run.deadline for run in self._running.values() if run.deadline and not run.over), default=None)

    @property
    def waiting_bytes(self) -> int:
        """Audio that was given to the recogniser and is not transcribed yet."""
        return sum(run.fed_bytes for run in self._running.values() if not run.over)

    def overdue(self, now: float) -> list[Place]:
        return [place for place, run in self._running.items() if run.deadline and not run.over and run.deadline <= now]

    def begun(self, place: Place) -> bool:
        return place in self._running

    def listens(self, place: Place) -> bool:
        """Whether the recogniser has all the audio so far."""
        run = self._running.get(place)
        return run is not None and not run.broken

    def words(self, place: Place) -> Words | None:
        """The newest hypothesis, else what is certain already; None where nothing is known."""
        run = self._running.get(place)
        if run is None or run.said is None:
            return None
        said = run.said
        covers = run.fed_bytes // 2 if said.is_final else round(said.audio_s * INPUT_HZ)
        return Words(said.hypothesis or said.text, covers, said.thorough or said.is_final)

    def is_over(self, place: Place) -> bool:
        """Whether nothing more will be known of one that was heard out."""
        run = self._running.get(place)
        return run is None or run.over

    def ask(self, place: Place) -> None:
        """Have the recogniser say what it has heard; once, until it answers or somebody speaks on."""
        run = self._running.get(place)
        if run is None or run.broken or run.asked or run.deadline is not None:
            return
        run.asked = True
        self._effects.order(AskHypothesis(*place))

    def answers(self, place: Place) -> bool:
        """Whether the recogniser was asked and has still to answer; one that is broken never will."""
        run = self._running.get(place)
        return run is not None and run.asked and not run.broken

    def spoke_on(self, place: Place) -> None:
        if (run := self._running.get(place)) is not None:
            run.asked = False

    def announce(self, place: Place) -> None:
        """From now on the client is told of it; what is known already comes at once."""
        run = self._running.get(place)
        if run is None or not run.held:
            return
        run.held = False
        if run.wanted.announced and run.said is not None and not run.said.is_final:
            self._show(place, run, run.said)

    def begin(self, place: Place, wanted: Wanted, *, held: bool = False) -> None:
        """Begin one whose audio is still coming."""
        self._running[place] = _Running(wanted, held)
        self._effects.order(StartTranscription(*place, options_for(wanted)))

    def feed(self, place: Place, pcm: bytes) -> None:
        """More audio; where somebody speaks for ever, what is left at the end is heard as a whole."""
        run = self._running[place]
        if run.broken or run.deadline is not None or run.over:
            return
        run.fed_bytes += len(pcm)
        if run.fed_bytes > self._limits.audio_bytes:
            run.broken = True
            self._effects.order(StopTranscription(*place))
        else:
            self._effects.order(FeedTranscription(*place, pcm))

    def hear_out(self, place: Place, pcm: bytes, now: float) -> None:
        """All its audio is there, ``pcm``, and nobody knows yet whether it will be an item: find out what was said."""
        if (run := self._running.get(place)) is not None and run.deadline is None and not run.over:
            self._end(place, run, pcm, now)

    def finish(
        self, place: Place, pcm: bytes, wanted: Wanted, now: float, *, voiced_samples: int | None = None
    ) -> Transcript | None:
        """All its audio is there, ``pcm``: end the one that was begun, or transcribe the whole.

        ``voiced_samples``: how much of it is more than silence, where that is certain. Returns its transcript where it
        is known already.
        """
        run = self._running.get(place)
        if run is None:
            self.begin(place, wanted)
            run = self._running[place]
            self.feed(place, pcm)
        self.announce(place)
        if not run.wanted.announced:
            run.wanted = wanted  # its events may have been asked for while somebody spoke
        run.item_bytes = len(pcm)
        run.voiced_samples = voiced_samples
        if (known := self._known(run)) is not None:
            return self._close(place, run, known)
        if run.deadline is None:
            self._end(place, run, pcm, now)
        return None

    def _end(self, place: Place, run: _Running, pcm: bytes, now: float) -> None:
        if run.broken:
            run.broken = run.over = run.asked = False
            run.said, run.fed_bytes = None, 0
            self._effects.order(StartTranscription(*place, options_for(run.wanted)))
            self.feed(place, pcm)
        run.deadline = now + self._limits.transcription_deadline_s + run.fed_bytes / _BYTES_PER_S
        self._effects.order(EndTranscription(*place))

    def _known(self, run: _Running) -> Transcript | None:
        """The transcript, where its final one came before the utterance was an item, or a hypothesis is as good."""
        said = run.said
        if said is None or said.is_final:
            return said
        if not said.thorough or run.voiced_samples is None or round(said.audio_s * INPUT_HZ) < run.voiced_samples:
            return None
        return replace(said, text=said.hypothesis, is_final=True)

    def _close(self, place: Place, run: _Running, final: Transcript) -> Transcript:
        if run.wanted.announced:
            self._show(place, run, final)
        self.stop(place)
        return final

    def stop(self, place: Place) -> None:
        run = self._running.pop(place, None)
        if run is not None and not run.broken and not run.over:
            self._effects.order(StopTranscription(*place))

    def stop_item(self, item_id: str) -> None:
        for place in [place for place in self._running if place[0] == item_id]:
            self.stop(place)

    def stop_all(self) -> None:
        for place in list(self._running):
            self.stop(place)

    # --- what it says ----------------------------------------------------------------------------------------------

    def heard(self, place: Place, transcript: Transcript) -> Transcript | None:
        """Emit what is new. The transcript once it is final; a transcription that nobody waits for is dropped."""
        run = self._running.get(place)
        if run is None or run.broken or run.over:
            return None
        if transcript.is_final and run.deadline is None:
            run.broken = True
            return None
        run.said = transcript = _bounded(transcript, run)
        run.asked &= not transcript.thorough
        if transcript.is_final:
            run.over = True
        if run.held:
            return None
        final = self._known(run) if run.deadline is not None else None
        if final is not None:
            return self._close(place, run, final)
        if run.wanted.announced:
            self._show(place, run, transcript)
        return None

    def failed(self, place: Place, fault: EngineFault) -> bool:
        """Emit the failure. True where it is final and somebody waited."""
        run = self._running.get(place)
        if run is None or run.over:
            return False
        if run.deadline is None:
            run.broken = True
            return False
        if run.held:
            run.broken = run.over = True
            run.deadline = None
            return False
        del self._running[place]
        self.show_failure(place, fault, run.wanted)
        return True

    def abandon(self, place: Place, fault: EngineFault) -> bool:
        """Stop one for good, and say why. False: it was stopped already."""
        run = self._running.get(place)
        if run is None:
            return False
        if run.held:
            self._effects.order(StopTranscription(*place))
            run.broken = run.over = True
            run.deadline = None
        else:
            self.stop(place)
            self.show_failure(place, fault, run.wanted)
        return True

    def show_failure(self, place: Place, fault: EngineFault, wanted: Wanted) -> None:
        if not wanted.announced:
            return
        mistake = fault.kind is EngineErrorKind.BAD_INPUT
        error = TranscriptionError(
            type="invalid_request_error" if mistake else "server_error",
            code=f"transcription_{fault.kind}",
            message=fault.message or "The audio could not be transcribed.",
        )
        self._effects.emit(
            ConversationItemInputAudioTranscriptionFailed(
                event_id=self._effects.event_id(), item_id=place[0], content_index=place[1], error=error
            )
        )

    def show_silence(self, place: Place, wanted: Wanted) -> None:
        """The words of a part in which nobody spoke: none, and nobody was asked for them."""
        if wanted.announced:
            self._show(place, _Running(wanted), Transcript("", is_final=True))

    def _show(self, place: Place, run: _Running, transcript: Transcript) -> None:
        item_id, content_index = place
        # A final text that corrects the partials comes whole in `completed`; deltas only ever extend each other.
        delta = transcript.text[len(run.shown) :] if transcript.text.startswith(run.shown) else ""
        if delta:
            run.shown = transcript.text
            self._effects.emit(
                ConversationItemInputAudioTranscriptionDelta(
                    event_id=self._effects.event_id(),
                    item_id=item_id,
                    content_index=content_index,
                    delta=delta,
                    obfuscation=self._effects.padding(delta),
                )
            )
        if transcript.is_final:
            self._effects.emit(
                ConversationItemInputAudioTranscriptionCompleted(
                    event_id=self._effects.event_id(),
                    item_id=item_id,
                    content_index=content_index,
                    transcript=transcript.text,
                    usage=_usage(transcript, run),
                    logprobs=_logprobs(transcript) if run.wanted.logprobs else UNSET,
                    languages=[TranscriptionLanguage(code=transcript.language)] if transcript.language else UNSET,
                )
            )


def _bounded(transcript: Transcript, run: _Running) -> Transcript:
    """It covers no more than the recogniser was given so far, whatever it says."""
    fed_s = run.fed_bytes / _BYTES_PER_S
    if 0 <= transcript.audio_s <= fed_s:
        return transcript
    return replace(transcript, audio_s=fed_s if transcript.audio_s > fed_s else 0.0)


def _usage(transcript: Transcript, run: _Running) -> TranscriptionUsage:
    """The engine's own tokens; the length of the audio where it counts none, as with ``whisper-1``."""
    counted = transcript.usage
    if counted is None:
        return DurationUsage(seconds=round(run.item_bytes / _BYTES_PER_S, 3))
    heard = counted.text_tokens + counted.audio_tokens
    return TokensUsage(
        total_tokens=heard + counted.output_tokens,
        input_tokens=heard,
        input_token_details=TokenUsageDetails(text_tokens=counted.text_tokens, audio_tokens=counted.audio_tokens),
        output_tokens=counted.output_tokens,
    )


def _logprobs(transcript: Transcript) -> list[Logprob]:
    return [
        Logprob(token=word.token, logprob=word.logprob, bytes=list(word.token.encode())) for word in transcript.logprobs
    ]
