"""When the stages of a turn happened, counted from the last voiced sample."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from antiphon.runtime.observer import TurnLatencies
from antiphon.runtime.utterance_times import Utterances, UtteranceTimes
from antiphon.runtime.work import Work
from antiphon.vocabulary.llm import FinishReason, LlmRequest, TokenUsage

__all__ = ["FinishedTurn", "TurnClock", "Waste"]

_MOST = 64
"""Responses that are begun, or done and still to be heard; the oldest goes first."""


@dataclass(frozen=True, slots=True)
class Waste:
    """What was made for a draft that nobody needed."""

    tokens: int
    audio_samples: int


@dataclass(frozen=True, slots=True)
class FinishedTurn:
    latencies: TurnLatencies
    work: tuple[Work, ...]


@dataclass(slots=True)
class _Tool:
    name: str
    began: float
    arguments: Mapping[str, Any] | None


@dataclass(slots=True)
class _Turn:
    origin: float | None = None
    """None: a draft, whose turn is not over."""
    spoken: UtteranceTimes | None = None
    """None: nobody's words began it."""
    is_draft: bool = False
    transcript: float | None = None
    begun: float | None = None
    first_text: float | None = None
    first_clause: float | None = None
    first_sound: float | None = None
    last_sound: float | None = None
    first_audio: float | None = None
    written: float | None = None
    generated: float | None = None
    error: str | None = None
    reason: FinishReason = "stop"
    usage: TokenUsage = field(default_factory=TokenUsage)
    pieces: int = 0
    """Of its text: about as many as tokens."""
    audio_samples: int = 0
    request: LlmRequest | None = None
    texts: list[str] | None = None
    """None: nobody wants to know."""
    tools: list[Work] = field(default_factory=list)
    is_played: bool = False
    """Whether audio of it is on its way: its first packet or event is still to leave, or has."""
    ended: tuple[str, float, int] | None = None
    """Its status, when, and its tokens."""

    def answer(self, spoken: UtteranceTimes | None, now: float) -> None:
        """It is the answer to what was said, or (None) counts from now."""
        self.spoken = spoken
        self.origin = now if spoken is None or spoken.origin is None else spoken.origin
        if spoken is not None and self.transcript is None:
            self.transcript = spoken.transcript


class TurnClock:
    """One session's turns. All times are seconds on the session's clock."""

    def __init__(self, session_id: str, *, words: bool = False) -> None:
        """``words``: whether what was said is to be told too."""
        self._session_id = session_id
        self._words = words
        self.user = Utterances()
        self._turns: dict[str, _Turn] = {}
        self._tools: dict[str, tuple[_Turn | None, _Tool]] = {}
        self._draft_id: str | None = None
        self.turns = 0

    # --- its beginning ---------------------------------------------------------------------------------------------

    def announced(self, response_id: str, now: float, *, in_conversation: bool) -> None:
        """``in_conversation``: it may be the answer to what was said."""
        turn = self._turns.get(response_id) or self._add(response_id, _Turn())
        if turn.origin is None:
            turn.answer(self.user.take_answered() if in_conversation else None, now)

    def started(self, response_id: str, request: LlmRequest, now: float, *, is_draft: bool) -> None:
        """The model is asked. A response that is started again, with a shorter prompt, goes on."""
        turn = self._turns.get(response_id)
        if turn is None:
            turn = self._add(response_id, _Turn(is_draft=is_draft))
            if is_draft:
                self._draft_id = response_id
                turn.transcript = self.user.present.thorough
            else:
                turn.answer(None, now)
        if turn.begun is None:
            turn.begun = now
            if turn.transcript is None and turn.origin is not None:
                # It has waited for the words of items that the client made.
                turn.transcript = self.user.heard_since(turn.origin)
            if self._words:
                turn.request, turn.texts = request, []

    def adopted(self, response_id: str, now: float) -> None:
        self._draft_id = None
        turn = self._turns.get(response_id)
        if turn is not None and turn.origin is None:
            turn.answer(self.user.take_answered(), now)

    def discarded(self, response_id: str) -> Waste:
        """Nothing of the draft counts."""
        if response_id == self._draft_id:
            self._draft_id = None
        turn = self._turns.pop(response_id, None) or _Turn()
        return Waste(max(turn.usage.output_tokens, turn.pieces), turn.audio_samples)

    @property
    def draft_id(self) -> str | None:
        """The draft that is neither adopted nor discarded."""
        return self._draft_id

    # --- its stages ------------------------------------------------------------------------------------------------

    def text(self, response_id: str, text: str, now: float) -> None:
        if turn := self._turns.get(response_id):
            turn.pieces += 1
            if turn.first_text is None:
                turn.first_text = now
            if turn.texts is not None:
                turn.texts.append(text)

    def clause(self, response_id: str, now: float) -> None:
        """The first clause is on its way to the voice."""
        if (turn := self._turns.get(response_id)) and turn.first_clause is None:
            turn.first_clause = now

    def sound(self, response_id: str, samples: int, now: float) -> None:
        """The voice has spoken a piece, which may have to wait."""
        if turn := self._turns.get(response_id):
            turn.audio_samples += samples
            turn.last_sound = now
            if turn.first_sound is None:
                turn.first_sound = now

    def written(self, response_id: str, now: float) -> None:
        if turn := self._turns.get(response_id):
            turn.written = now

    def generated(
        self, response_id: str, reason: FinishReason, usage: TokenUsage, error: str | None, now: float
    ) -> None:
        if turn := self._turns.get(response_id):
            turn.generated, turn.reason, turn.usage, turn.error = now, reason, usage, error

    def tool_called(
        self, response_id: str | None, item_id: str, name: str, arguments: Mapping[str, Any], now: float
    ) -> None:
        """``response_id`` None: it was approved after its response was done."""
        turn = self._turns.get(response_id) if response_id is not None else None
        if len(self._tools) >= _MOST:
            del self._tools[next(iter(self._tools))]
        self._tools[item_id] = turn, _Tool(name, now, arguments if self._words else None)

    def tool_ended(self, item_id: str, output: str, error: str | None, now: float) -> Work | None:
        """What belongs to no turn any more; else None."""
        turn, tool = self._tools.pop(item_id, (None, None))
        if tool is None:
            return None
        work = Work(
            "tool",
            tool.began,
            now,
            error,
            tool=tool.name,
            item_id=item_id,
            words=output if self._words else "",
            arguments=tool.arguments,
        )
        if turn is None or turn.ended is not None:
            return work
        turn.tools.append(work)
        return None

    def played(self, response_id: str) -> bool:
        """There is audio of it on its way, and it is told when that leaves or is given up. Whether that is news."""
        turn = self._turns.get(response_id)
        if turn is None or turn.is_played or turn.ended is not None:
            return False
        turn.is_played = True
        return True

    def audio(self, response_id: str, now: float) -> FinishedTurn | None:
        """The first of its audio is on its way, which completes a response that is done."""
        turn = self._turns.get(response_id)
        if turn is None or turn.first_audio is not None:
            return None
        turn.first_audio = now
        return self._completed(response_id, turn)

    def unheard(self, response_id: str) -> FinishedTurn | None:
        """What was to be played of it never will be, which completes a response that is done."""
        turn = self._turns.get(response_id)
        if turn is None:
            return None
        turn.is_played = False
        return self._completed(response_id, turn)

    # --- its end ---------------------------------------------------------------------------------------------------

    def done(self, response_id: str, status: str, now: float, output_tokens: int) -> FinishedTurn | None:
        """None while its audio is still to be played."""
        turn = self._turns.get(response_id)
        if turn is None:
            turn = _Turn(origin=now)
        self.turns += 1
        turn.ended = (status, now, output_tokens)
        if turn.is_played and turn.first_audio is None:
            return None
        return self._completed(response_id, turn)

    def rest(self) -> list[FinishedTurn]:
        """Of the responses that are done and not heard, at the session's end."""
        completed = [self._completed(response_id, turn) for response_id, turn in list(self._turns.items())]
        return [finished for finished in completed if finished is not None]

    # --- steps -----------------------------------------------------------------------------------------------------

    def _add(self, response_id: str, turn: _Turn) -> _Turn:
        if len(self._turns) >= _MOST:
            del self._turns[next(iter(self._turns))]
        self._turns[response_id] = turn
        return turn

    def _completed(self, response_id: str, turn: _Turn) -> FinishedTurn | None:
        if turn.ended is None:
            return None
        self._turns.pop(response_id, None)
        return FinishedTurn(self._latencies(response_id, turn), tuple(self._work(turn)))

    def _latencies(self, response_id: str, turn: _Turn) -> TurnLatencies:
        assert turn.ended is not None
        status, ended, output_tokens = turn.ended
        origin = ended if turn.origin is None else turn.origin
        spoken = turn.spoken or UtteranceTimes()

        def ms(at: float | None) -> int | None:
            return None if at is None else max(0, round((at - origin) * 1000))

        return TurnLatencies(
            self._session_id,
            response_id,
            status,
            origin_s=origin,
            is_spoken=turn.spoken is not None,
            is_drafted=turn.is_draft,
            pause_ms=ms(spoken.pause),
            judged_ms=ms(spoken.judged),
            committed_ms=ms(spoken.committed),
            transcript_ms=ms(turn.transcript),
            first_text_ms=ms(turn.first_text),
            first_clause_ms=ms(turn.first_clause),
            first_audio_ms=ms(turn.first_audio),
            done_ms=ms(ended),
            output_tokens=output_tokens,
        )

    def _work(self, turn: _Turn) -> list[Work]:
        assert turn.ended is not None
        work = [] if turn.spoken is None else turn.spoken.work(words=self._words)
        stopped = turn.ended[1]
        if turn.begun is not None:
            work.append(
                Work(
                    "chat",
                    turn.begun,
                    turn.written or turn.generated or stopped,
                    turn.error if turn.written is None else None,
                    first_s=turn.first_text,
                    usage=turn.usage,
                    reason=turn.reason if turn.generated is not None else None,
                    request=turn.request,
                    words="".join(turn.texts or ()),
                )
            )
        if turn.first_clause is not None:
            spoken = turn.generated or stopped
            error = None if turn.written is None else turn.error
            work.append(Work("speech", turn.first_clause, spoken, error, first_s=turn.first_sound))
        return work + turn.tools
