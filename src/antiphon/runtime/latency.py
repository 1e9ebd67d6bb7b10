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
    is_played: bool = False
    """Whether its audio is heard only when its first packet leaves."""
    ended: tuple[str, float, int] | None = None
    """Its status, when, and its tokens."""


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

    def played(self, response_id: str) -> None:
        """There is audio of it to be played, and it is told when that begins or is given up."""
        if turn := self._turns.get(response_id):
            turn.is_played = True

    def audio(self, response_id: str, now: float) -> TurnLatencies | None:
        """The first of its audio is on its way, which completes a response that is done."""
        turn = self._turns.get(response_id)
        if turn is None or turn.first_audio is not None:
            return None
        turn.first_audio = now
        return self._completed(response_id, turn)

    def unheard(self, response_id: str) -> TurnLatencies | None:
        """What was to be played of it never will be, which completes a response that is done."""
        turn = self._turns.get(response_id)
        if turn is None:
            return None
        turn.is_played = False
        return self._completed(response_id, turn)

    def done(self, response_id: str, status: str, now: float, output_tokens: int) -> TurnLatencies | None:
        """None while its audio is still to be played.

        A response that ended before it was begun (its words could not be heard) is a turn as well.
        """
        turn = self._turns.get(response_id)
        if turn is None:
            turn, self._next = self._next or _Turn(origin=now), None
        self.turns += 1
        turn.ended = (status, now, output_tokens)
        if turn.is_played and turn.first_audio is None:
            return None
        return self._completed(response_id, turn)

    def rest(self) -> list[TurnLatencies]:
        """Of the responses that are done and not heard, at the session's end."""
        completed = [self._completed(response_id, turn) for response_id, turn in list(self._turns.items())]
        return [latencies for latencies in completed if latencies is not None]

    def _completed(self, response_id: str, turn: _Turn) -> TurnLatencies | None:
        if turn.ended is None:
            return None
        self._turns.pop(response_id, None)
        status, ended, output_tokens = turn.ended

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
            done_ms=ms(ended),
            output_tokens=output_tokens,
        )
