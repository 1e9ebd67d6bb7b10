"""When the stages of a turn happened, counted from the last voiced sample."""

from dataclasses import dataclass

from antiphon.runtime.observer import TurnLatencies

__all__ = ["TurnClock"]


@dataclass(slots=True)
class _Turn:
    origin: float
    committed: float | None = None
    transcript: float | None = None
    first_text: float | None = None
    first_audio: float | None = None


class TurnClock:
    """One session's turns. All times are seconds on the session's clock."""

    def __init__(self, session_id: str) -> None:
        self._session_id = session_id
        self._next: _Turn | None = None
        self._turns: dict[str, _Turn] = {}
        self.turns = 0

    def turn_closed(self, now: float, silence_ms: int) -> None:
        self._next = _Turn(origin=now - silence_ms / 1000, committed=now)

    def transcript(self, now: float) -> None:
        if self._next is not None:
            self._next.transcript = now

    def response_started(self, response_id: str, now: float) -> None:
        """A response that is started again, with a shorter prompt, goes on."""
        if response_id not in self._turns:
            self._turns[response_id] = self._next or _Turn(origin=now)
            self._next = None

    def text(self, response_id: str, now: float) -> None:
        if (turn := self._turns.get(response_id)) and turn.first_text is None:
            turn.first_text = now

    def audio(self, response_id: str, now: float) -> None:
        if (turn := self._turns.get(response_id)) and turn.first_audio is None:
            turn.first_audio = now

    def done(self, response_id: str, status: str, now: float, output_tokens: int) -> TurnLatencies:
        """A response that ended before it was begun (its words could not be heard) is a turn as well."""
        turn = self._turns.pop(response_id, None)
        if turn is None:
            turn, self._next = self._next or _Turn(origin=now), None
        self.turns += 1

        def ms(at: float | None) -> int | None:
            return None if at is None else round((at - turn.origin) * 1000)

        return TurnLatencies(
            self._session_id,
            response_id,
            status,
            committed_ms=ms(turn.committed),
            transcript_ms=ms(turn.transcript),
            first_text_ms=ms(turn.first_text),
            first_audio_ms=ms(turn.first_audio),
            done_ms=ms(now),
            output_tokens=output_tokens,
        )
