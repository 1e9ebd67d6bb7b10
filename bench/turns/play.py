"""One clip through the real core on a virtual clock; engines answer when they would, an assistant speaks an answer."""

import heapq
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from antiphon.core.config import BargeIn, SessionConfig, TurnPolicy, realtime_session
from antiphon.core.inputs import (
    INPUT_HZ,
    AudioProduced,
    ClientEventReceived,
    DraftGranted,
    GenerationEnded,
    Input,
    TextProduced,
    TranscriptProduced,
    TransportOpened,
    TurnJudged,
    WritingEnded,
)
from antiphon.core.limits import Limits
from antiphon.core.outputs import (
    AdoptDraft,
    AskHypothesis,
    BargeInJudged,
    DiscardDraft,
    Emit,
    EndTranscription,
    FeedTranscription,
    JudgeTurn,
    Output,
    SeekDraft,
    StartResponse,
    StartTranscription,
    StopResponse,
    StopTranscription,
)
from antiphon.core.session import Session
from antiphon.protocol.codec import decode_client_event
from antiphon.protocol.server_events import (
    InputAudioBufferSpeechStarted,
    InputAudioBufferSpeechStopped,
    ResponseCreated,
    ResponseDone,
    ResponseOutputAudioDelta,
)
from antiphon.vocabulary.llm import TokenUsage
from antiphon.vocabulary.speech import Transcript
from bench.turn_set.clips import Clip
from bench.turn_set.words import ANSWER
from bench.turns.ears import Ears, Heard

__all__ = ["Course", "Latencies", "Setting", "play"]


@dataclass(frozen=True)
class Latencies:
    """What engines take: typical of two cores."""

    judge_s: float = 0.06
    transcript_s: float = 0.18
    first_text_s: float = 0.30
    first_audio_s: float = 0.45


@dataclass(frozen=True)
class Setting:
    name: str
    detection: dict[str, Any]
    barge_in: BargeIn = "auto"
    drafts: bool = True


@dataclass
class Course:
    """What the client saw, with the second at which it did."""

    started: list[tuple[float, float]] = field(default_factory=list)
    """When it was told that somebody speaks, and since when it says that they do."""
    stopped: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)
    """``response.created``"""
    spoken: list[float] = field(default_factory=list)
    """Every piece of audio."""
    cancelled: list[float] = field(default_factory=list)
    judged: list[BargeInJudged] = field(default_factory=list)


_TEXT_PIECES: Final = [sentence.strip() + " " for sentence in ANSWER.split(".") if sentence.strip()]
_S_A_CHARACTER = 0.065
_PIECE_S = 0.2
_SHORT = 1
"""Sentences of an answer, but the one that is talked over."""
_GOES_ON_S = 1.0
"""After the last piece of audio that matters."""


def play(clip: Clip, heard: Heard, ears: Ears, setting: Setting, latencies: Latencies) -> Course:
    return _Play(clip, heard, ears, setting, latencies).run()


@dataclass
class _Utterance:
    pcm: bytearray = field(default_factory=bytearray)
    stopped: bool = False


@dataclass
class _Answer:
    """A response and what of it is still to come."""

    rest: list[Input]
    held: bool
    stopped: bool = False


class _Play:
    def __init__(self, clip: Clip, heard: Heard, ears: Ears, setting: Setting, latencies: Latencies) -> None:
        self._clip = clip
        self._ears = ears
        self._latencies = latencies
        self._ids = count()
        self._order = count()
        self._due: list[tuple[float, int, Input]] = []
        self._utterances: dict[str, _Utterance] = {}
        self._answers: dict[str, _Answer] = {}
        self._recogniser_free_s = 0.0
        self.course = Course()
        policy = TurnPolicy(judges=True, drafts=setting.drafts, barge_in=setting.barge_in)
        settings = realtime_session(id="sess", model="m", created_at_unix_s=0, max_s=3600)
        config = SessionConfig(settings, 0, partials=False, turns=policy)
        self._session = Session(config, new_id=lambda kind: f"{kind}_{next(self._ids)}", limits=Limits())
        self._at(0.0, TransportOpened())
        detection = {"audio": {"input": {"turn_detection": setting.detection}}}
        self._at(0.0, _event("session.update", session={"type": "realtime", **detection}))
        if clip.over_answer:
            self._at(0.0, _event("response.create"))
        for at_s, fact in heard:
            self._at(at_s, fact)

    def run(self) -> Course:
        while self._due:
            at_s, _, fact = heapq.heappop(self._due)
            while (deadline := self._session.deadline) is not None and deadline < at_s:
                self._perform(self._session.tick(deadline), deadline)
            self._perform(self._session.handle(fact, at_s), at_s)
            if self._is_over(at_s):
                break
        return self.course

    def _is_over(self, now: float) -> bool:
        """One plain turn, answered: what follows is silence."""
        if self._clip.over_answer or not self._clip.spoken or now < self._clip.ends_s + _GOES_ON_S:
            return False
        stopped = self.course.stopped
        return bool(stopped) and stopped[-1] >= self._clip.ends_s and now > stopped[-1] + _GOES_ON_S

    def _at(self, at_s: float, fact: Input) -> None:
        heapq.heappush(self._due, (at_s, next(self._order), fact))

    # --- orders ----------------------------------------------------------------------------------------------------

    def _perform(self, orders: list[Output], now: float) -> None:
        for order in orders:
            match order:
                case Emit():
                    self._see(order.event, now)
                case StartTranscription() | FeedTranscription() | EndTranscription() | StopTranscription():
                    self._hear(order, now)
                case AskHypothesis():
                    self._transcribe(order.item_id, now, final=False)
                case JudgeTurn():
                    probability = self._ears.judge(order.pcm)
                    judged = TurnJudged(order.item_id, order.at_sample, probability)
                    self._at(now + self._latencies.judge_s, judged)
                case SeekDraft():
                    self._at(now, DraftGranted(order.item_id))
                case StartResponse() | AdoptDraft() | StopResponse() | DiscardDraft():
                    self._answer(order, now)
                case BargeInJudged():
                    self.course.judged.append(order)
                case _:
                    pass

    def _see(self, event: object, now: float) -> None:
        match event:
            case InputAudioBufferSpeechStarted():
                self.course.started.append((now, event.audio_start_ms / 1000))
            case InputAudioBufferSpeechStopped():
                self.course.stopped.append(now)
            case ResponseCreated():
                self.course.answers.append(now)
            case ResponseOutputAudioDelta():
                self.course.spoken.append(now)
            case ResponseDone() if event.response.status == "cancelled":
                self.course.cancelled.append(now)
            case _:
                pass

    def _hear(
        self, order: StartTranscription | FeedTranscription | EndTranscription | StopTranscription, now: float
    ) -> None:
        utterance = self._utterances.setdefault(order.item_id, _Utterance())
        if isinstance(order, FeedTranscription):
            utterance.pcm += order.pcm
        elif isinstance(order, EndTranscription):
            self._transcribe(order.item_id, now, final=True)
        elif isinstance(order, StopTranscription):
            utterance.stopped = True

    def _transcribe(self, item_id: str, now: float, *, final: bool) -> None:
        """One after the other, as on a machine with one recogniser."""
        pcm = bytes(self._utterances.setdefault(item_id, _Utterance()).pcm)
        words = self._ears.words(pcm) if pcm else ""
        self._recogniser_free_s = max(self._recogniser_free_s, now) + self._latencies.transcript_s
        said = Transcript(words, is_final=True)
        if not final:
            heard_s = len(pcm) / 2 / INPUT_HZ
            said = Transcript("", is_final=False, hypothesis=words, audio_s=heard_s, thorough=True)
        self._at(self._recogniser_free_s, TranscriptProduced(item_id, 0, said))

    def _answer(self, order: StartResponse | AdoptDraft | StopResponse | DiscardDraft, now: float) -> None:
        if isinstance(order, StartResponse):
            first, rest = self._words(order.response_id)
            self._answers[order.response_id] = _Answer(rest, held=order.draft)
            self._at(now + self._latencies.first_text_s, first[0])
            for fact in first[1:]:
                self._at(now + self._latencies.first_audio_s, fact)
            if not order.draft:
                self._go_on(order.response_id, now)
        elif isinstance(order, AdoptDraft):
            self._go_on(order.response_id, now)
        else:
            self._drop(order.response_id)

    def _go_on(self, response_id: str, now: float) -> None:
        for fact in self._answers[response_id].rest:
            self._at(now + self._latencies.first_audio_s, fact)

    def _drop(self, response_id: str) -> None:
        self._due = [due for due in self._due if getattr(due[2], "response_id", None) != response_id]
        heapq.heapify(self._due)

    def _words(self, response_id: str) -> tuple[list[Input], list[Input]]:
        """The first piece of the answer, and the rest."""
        sentences = _TEXT_PIECES if self._clip.over_answer else _TEXT_PIECES[:_SHORT]
        first: list[Input] = [TextProduced(response_id, sentences[0]), *_speech(response_id, sentences[0], 0)]
        rest: list[Input] = []
        start = len(sentences[0])
        for sentence in sentences[1:]:
            rest += [TextProduced(response_id, sentence), *_speech(response_id, sentence, start)]
            start += len(sentence)
        rest += [WritingEnded(response_id), GenerationEnded(response_id, "stop", TokenUsage(100, 0, 20))]
        return first, rest


def _speech(response_id: str, sentence: str, start: int) -> Iterator[Input]:
    pieces = max(1, round(len(sentence) * _S_A_CHARACTER / _PIECE_S))
    samples = round(_PIECE_S * INPUT_HZ)
    for number in range(pieces):
        span = (start + len(sentence) * number // pieces, start + len(sentence) * (number + 1) // pieces)
        yield AudioProduced(response_id, bytes(2 * samples), samples, *span)


def _event(type: str, **fields: Any) -> ClientEventReceived:
    return ClientEventReceived(decode_client_event(json.dumps({"type": type, **fields})).event)
