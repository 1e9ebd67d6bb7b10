"""Hearing: every user audio part that can reach a prompt is transcribed, whether or not the client wants the events."""

from dataclasses import dataclass

from antiphon.core.effects import Effects
from antiphon.core.inputs import INPUT_HZ
from antiphon.core.limits import Limits
from antiphon.core.outputs import EndTranscription, FeedTranscription, StartTranscription, StopTranscription
from antiphon.protocol.base import UNSET
from antiphon.protocol.server_events import (
    ConversationItemInputAudioTranscriptionCompleted,
    ConversationItemInputAudioTranscriptionDelta,
    ConversationItemInputAudioTranscriptionFailed,
    DurationUsage,
    Logprob,
    TranscriptionError,
    TranscriptionLanguage,
)
from antiphon.protocol.session_config import InputTranscription
from antiphon.vocabulary.errors import EngineFault
from antiphon.vocabulary.speech import SttOptions, Transcript

__all__ = ["Place", "Transcriptions", "options_for"]

Place = tuple[str, int]
"""Item id and content index."""

_BYTES_PER_S = 2 * INPUT_HZ


@dataclass(slots=True)
class _Running:
    announced: bool
    """Whether the client gets events about it."""
    with_logprobs: bool
    shown: str = ""
    """What the deltas so far say."""
    fed_bytes: int = 0
    deadline: float | None = None
    """Set once all its audio was given."""


def options_for(config: InputTranscription | None, *, partials: bool) -> SttOptions:
    """What the recogniser is told: the client's language and hints, where it gave any."""
    if config is None:
        return SttOptions()
    languages = config.languages or []
    language = config.language or (languages[0] if len(languages) == 1 else None)
    hints = [config.prompt or "", *(config.keywords or [])]
    return SttOptions(language=language, prompt=", ".join(filter(None, hints)), partials=partials)


class Transcriptions:
    """The transcriptions under way, by item and content part."""

    def __init__(self, effects: Effects, limits: Limits) -> None:
        self._effects = effects
        self._limits = limits
        self._running: dict[Place, _Running] = {}

    def __contains__(self, place: Place) -> bool:
        return place in self._running

    @property
    def deadline(self) -> float | None:
        return min((run.deadline for run in self._running.values() if run.deadline is not None), default=None)

    def overdue(self, now: float) -> list[Place]:
        return [place for place, run in self._running.items() if run.deadline is not None and run.deadline <= now]

    def begin(
        self, place: Place, config: InputTranscription | None, *, partials: bool = False, logprobs: bool = False
    ) -> None:
        self._running[place] = _Running(config is not None, logprobs)
        options = options_for(config, partials=partials and config is not None)
        self._effects.order(StartTranscription(*place, options))

    def feed(self, place: Place, pcm: bytes) -> None:
        self._running[place].fed_bytes += len(pcm)
        self._effects.order(FeedTranscription(*place, pcm))

    def end(self, place: Place, now: float) -> None:
        self._running[place].deadline = now + self._limits.transcription_deadline_s
        self._effects.order(EndTranscription(*place))

    def stop(self, place: Place) -> None:
        if self._running.pop(place, None) is not None:
            self._effects.order(StopTranscription(*place))

    def stop_item(self, item_id: str) -> None:
        for place in [place for place in self._running if place[0] == item_id]:
            self.stop(place)

    def stop_all(self) -> None:
        for place in list(self._running):
            self.stop(place)

    def heard(self, place: Place, transcript: Transcript) -> bool:
        """Emit what is new. True once the transcript is final; a transcription that nobody waits for is dropped."""
        run = self._running.get(place)
        if run is None:
            return False
        if run.announced:
            self._show(place, run, transcript)
        if transcript.is_final:
            del self._running[place]
        return transcript.is_final

    def failed(self, place: Place, fault: EngineFault) -> bool:
        """Emit the failure. True where somebody waited for it."""
        run = self._running.pop(place, None)
        if run is None:
            return False
        if run.announced:
            error = TranscriptionError(
                type="server_error" if fault.retryable else "invalid_request_error",
                code=f"transcription_{fault.kind}",
                message=fault.message or "The audio could not be transcribed.",
            )
            self._effects.emit(
                ConversationItemInputAudioTranscriptionFailed(
                    event_id=self._effects.event_id(), item_id=place[0], content_index=place[1], error=error
                )
            )
        return True

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
                    usage=DurationUsage(seconds=round(run.fed_bytes / _BYTES_PER_S, 3)),
                    logprobs=_logprobs(transcript) if run.with_logprobs else UNSET,
                    languages=[TranscriptionLanguage(code=transcript.language)] if transcript.language else UNSET,
                )
            )


def _logprobs(transcript: Transcript) -> list[Logprob]:
    return [
        Logprob(token=word.token, logprob=word.logprob, bytes=list(word.token.encode())) for word in transcript.logprobs
    ]
