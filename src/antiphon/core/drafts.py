"""Answers that are begun in a pause, before it is known whether the user is done.

A draft is a response like any other, but nobody is told of it: what its engines produce is held back, and it has no
place in the conversation. When the turn is over and it is what would be asked now, word for word, it is *adopted*: what
was held comes out in order. Else it is *discarded*, as if it had never been.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

from antiphon.core.config import TurnPolicy
from antiphon.core.conversation import Conversation, Entry
from antiphon.core.effects import Effects
from antiphon.core.hearing import Hearing
from antiphon.core.inputs import (
    AudioProduced,
    DraftGranted,
    GenerationEnded,
    Input,
    TextProduced,
    ToolCallProduced,
    WritingEnded,
)
from antiphon.core.limits import Limits
from antiphon.core.mcp import Mcp
from antiphon.core.outputs import AdoptDraft, DiscardDraft, EndDraft, PrefillPrompt, SeekDraft
from antiphon.core.response import ActiveResponse
from antiphon.core.response_input import OwnPrompt
from antiphon.core.response_orders import Asked, ResponseOrders
from antiphon.core.response_plan import ResponsePlan
from antiphon.core.settings import Settings
from antiphon.protocol.items import InputAudio, InputText, Message
from antiphon.protocol.response import ResponseOverrides
from antiphon.protocol.session_config import RealtimeSession
from antiphon.vocabulary.llm import LlmRequest, TextContent, UserContent, UserMessage

__all__ = ["Drafts"]

Reason: TypeAlias = Literal["speech", "changed", "failed", "dropped"]
Produced: TypeAlias = TextProduced | ToolCallProduced | WritingEnded | AudioProduced | GenerationEnded

_STARTS_MS: Final = (64, 96, 128, 160)
"""After so much silence a draft begins: sooner where turns end with it, later where the speech flickers."""
_FLICKER_MS: Final = 200
"""A shorter pause that came to nothing is a reason to begin later."""
_UNGRANTED_MS: Final = 200
"""Where there is no room for drafts the words are asked for all the same, once the turn is likely to be over."""
_HELD_FACTS: Final = 2_000
_HELD_BYTES: Final = 4_000_000
"""More than any first piece of speech; an engine that goes on for ever is stopped there."""
_OPEN_ENDS: Final = " \t\n.,!?;:…–—-。，！？、；："
"""What a recogniser puts behind words that go on."""


@dataclass(slots=True)
class _Turn:
    """The turn that is being spoken; or that has been, until its draft is adopted or discarded."""

    item_id: str
    continues: bool
    sought: bool
    granted: bool = False
    over: bool = False
    start_sample: int = 0
    voiced_to: int | None = None
    """Where the silence of the present pause begins; None while somebody speaks."""
    silence_ms: int = 0
    asked: bool = False
    """Its words were asked for in this pause."""
    failed: bool = False
    """A draft of it failed; there will be no other."""
    read_ahead: str | None = None
    """The words that the model read ahead."""


@dataclass(slots=True)
class _Draft:
    response: ActiveResponse
    request: LlmRequest
    words: str
    session: RealtimeSession
    revision: int
    """Of the conversation."""
    held: list[Produced] = field(default_factory=list)
    held_bytes: int = 0


class Drafts:
    """The draft of the turn that is being spoken: at most one."""

    def __init__(
        self,
        effects: Effects,
        conversation: Conversation,
        hearing: Hearing,
        settings: Settings,
        limits: Limits,
        mcp: Mcp,
        orders: ResponseOrders,
        policy: TurnPolicy,
        *,
        audio_in: bool,
    ) -> None:
        """``audio_in``: the model takes audio, of which more comes until the turn is over; there are no drafts then."""
        self._effects = effects
        self._conversation = conversation
        self._hearing = hearing
        self._settings = settings
        self._limits = limits
        self._mcp = mcp
        self._orders = orders
        self._policy = policy
        self._audio_in = audio_in
        self._turn: _Turn | None = None
        self._draft: _Draft | None = None
        self._released: list[Produced] = []
        self._start = 0
        """Which of the silences a draft begins after."""

    @property
    def held_bytes(self) -> int:
        """Audio that is held back."""
        return self._draft.held_bytes if self._draft is not None else 0

    # --- the turn --------------------------------------------------------------------------------------------------

    def turn_began(self, item_id: str, *, continues: bool = False) -> None:
        """A turn was announced. Whatever becomes of it, ``turn_over`` or ``dropped`` follows.

        ``continues``: its entry will be one thought with the user's words before it.
        """
        self._end("speech")
        if not self._policy.drafts:
            return
        self._turn = _Turn(item_id, continues, sought=self._settings.answers_turns and not self._audio_in)
        if self._turn.sought:
            self._effects.order(SeekDraft(item_id))

    def granted(self, fact: DraftGranted) -> None:
        if (turn := self._spoken(fact.item_id)) is not None:
            turn.granted = turn.sought

    def paused(self, item_id: str, start_sample: int, voiced_to: int, silence_ms: int) -> None:
        """Nobody has spoken for ``silence_ms`` in an announced turn, of which ``start_sample:voiced_to`` is more than
        silence. Told on every silent window from 64 ms on; ``voiced_to`` tells one pause from another."""
        turn = self._spoken(item_id)
        if turn is None:
            return
        if turn.voiced_to != voiced_to:
            self._speaks_on(turn)
            turn.start_sample, turn.voiced_to = start_sample, voiced_to
        turn.silence_ms = silence_ms
        if not turn.asked and silence_ms >= (_STARTS_MS[self._start] if turn.granted else _UNGRANTED_MS):
            turn.asked = True
            self._hearing.ask(item_id)

    def resumed(self, item_id: str) -> None:
        """The pause is over: somebody speaks on."""
        if (turn := self._spoken(item_id)) is not None:
            self._speaks_on(turn)

    def turn_over(self, item_id: str) -> None:
        """The turn has become an item, and is answered as the session says. Its draft is kept until it is."""
        if (turn := self._spoken(item_id)) is not None:
            turn.over = True
            if self._draft is None:
                self._end("dropped")

    def dropped(self, item_id: str) -> None:
        """The turn comes to nothing, or is none that is answered of itself."""
        if self._turn is not None and self._turn.item_id == item_id:
            self._end("dropped")

    def stop(self) -> None:
        """The session ends."""
        self._end("dropped")

    # --- what is held back -----------------------------------------------------------------------------------------

    def hold(self, fact: Input) -> bool:
        """Keep what was produced for the draft; False: it is not the draft's."""
        draft = self._draft
        if draft is None or not isinstance(fact, Produced) or fact.response_id != draft.response.id:
            return False
        draft.held.append(fact)
        draft.held_bytes += len(fact.audio) if isinstance(fact, AudioProduced) else 0
        broke = isinstance(fact, GenerationEnded) and fact.fault is not None
        most_bytes = min(_HELD_BYTES, self._limits.audio_bytes)
        if broke or len(draft.held) > _HELD_FACTS or draft.held_bytes > most_bytes:
            self._give_up()
        return True

    def released(self) -> Iterator[Produced]:
        """What was produced for a draft that was just adopted: to be handled like any fact, once."""
        facts, self._released = self._released, []
        yield from facts

    # --- its end ---------------------------------------------------------------------------------------------------

    def fit_for(self, plan: ResponsePlan, turns: Sequence[Entry]) -> ActiveResponse | None:
        """The draft, where it is what would be asked now for the answer to these turns; ``adopt`` it then. Any other
        one is discarded."""
        turn, draft = self._turn, self._draft
        if turn is None or draft is None or not turn.over or not turns or turns[-1].id != turn.item_id:
            return None
        response, entries = draft.response, list(self._conversation)
        asked = self._orders.asked(plan, entries)
        if asked is None or plan != response.plan or not _is_alike(asked, response, draft.request):
            self._end("changed")
            return None
        response.entries = entries
        response.prompt_size = asked.size
        return response

    def adopt(self) -> None:
        """The draft was announced: what was held is ``released``, and it goes on as any response."""
        assert self._draft is not None
        assert self._turn is not None
        self._effects.order(AdoptDraft(self._draft.response.id))
        self._effects.order(EndDraft(self._turn.item_id))
        self._released = self._draft.held
        self._draft = self._turn = None
        self._start = max(0, self._start - 1)

    # --- after every fact ------------------------------------------------------------------------------------------

    def look(self, session: RealtimeSession, *, free: bool, unanswered: Sequence[Entry]) -> None:
        """Discard what is of no use any more, begin what is possible.

        ``free``: the conversation has no response; ``unanswered``: the turns that wait for their answer.
        """
        turn = self._turn
        if turn is None:
            return
        if turn.over:
            if not free or all(entry.id != turn.item_id for entry in unanswered):
                self._end("changed")
            return
        if self._draft is not None and (not free or self._is_outdated(session, turn, self._draft)):
            self._discard("changed")
        if not turn.granted or not free or self._draft is not None or not self._settings.answers_turns:
            return
        words = self._words(turn)
        if words is None:
            self._read_ahead(session, turn, unanswered)
        elif words.strip() and not turn.failed and not self._lacks(unanswered):
            self._begin(session, turn, words)

    def _is_outdated(self, session: RealtimeSession, turn: _Turn, draft: _Draft) -> bool:
        words = self._words(turn)
        said_otherwise = words not in (None, draft.words) and _spelt(words or "") != _spelt(draft.words)
        return said_otherwise or session is not draft.session or self._conversation.revision != draft.revision

    def _lacks(self, unanswered: Sequence[Entry]) -> bool:
        """Whether an answer would have to wait for something, or would be none."""
        if any(entry.lacks_words(audio_in=False) for entry in self._conversation):
            return True
        failed = any("failed" in entry.transcripts.values() for entry in unanswered)
        return failed or self._mcp.is_listing(self._mcp.for_session)

    def _words(self, turn: _Turn) -> str | None:
        """All the words of the turn, if it was over now."""
        words = self._hearing.words(turn.item_id)
        if turn.voiced_to is None or words is None or not words.thorough:
            return None
        return words.text if words.covers_samples >= turn.voiced_to - turn.start_sample else None

    def _begin(self, session: RealtimeSession, turn: _Turn, words: str) -> None:
        plan = self._orders.planned(session, ResponseOverrides())
        response = self._orders.made(plan, self._prompt(turn, words))
        order = self._orders.start(response, draft=True)
        if order is None:
            turn.failed = True
            return
        self._draft = _Draft(response, order.request, words, session, self._conversation.revision)
        self._effects.order(order)

    def _read_ahead(self, session: RealtimeSession, turn: _Turn, unanswered: Sequence[Entry]) -> None:
        words = self._hearing.words(turn.item_id)
        text = words.text.rstrip(_OPEN_ENDS) if words is not None else ""
        if not self._policy.prefills or text == turn.read_ahead or self._lacks(unanswered):
            return
        turn.read_ahead = text
        asked = self._orders.asked(self._orders.planned(session, ResponseOverrides()), self._prompt(turn, text).entries)
        if asked is not None:
            self._effects.order(PrefillPrompt(asked.request))

    def _prompt(self, turn: _Turn, words: str) -> OwnPrompt:
        """The conversation as it would be, if the turn was over and those were its words."""
        part = InputAudio(transcript=words) if words else InputText(text="")
        item = Message(id=turn.item_id, status="completed", role="user", content=[part])
        entry = Entry(item, turn.item_id, {0: "known"}, continues=turn.continues)
        return OwnPrompt([*self._conversation, entry])

    # --- steps -----------------------------------------------------------------------------------------------------

    def _spoken(self, item_id: str) -> _Turn | None:
        turn = self._turn
        return turn if turn is not None and turn.item_id == item_id and not turn.over else None

    def _speaks_on(self, turn: _Turn) -> None:
        if turn.voiced_to is None:
            return
        self._hearing.spoke_on(turn.item_id)
        if turn.asked and turn.silence_ms < _FLICKER_MS:
            self._start = min(self._start + 1, len(_STARTS_MS) - 1)
        turn.voiced_to, turn.asked = None, False
        self._discard("speech")

    def _give_up(self) -> None:
        assert self._turn is not None
        self._turn.failed = True
        self._discard("failed")
        if self._turn.over:
            self._end("failed")

    def _discard(self, reason: Reason) -> None:
        if self._draft is not None:
            self._effects.order(DiscardDraft(self._draft.response.id, reason))
            self._draft = None

    def _end(self, reason: Reason) -> None:
        """Nothing more comes of the turn here: its draft is discarded, its place free again."""
        self._discard(reason)
        if self._turn is not None and self._turn.sought:
            self._effects.order(EndDraft(self._turn.item_id))
        self._turn = None


# --- what was asked, and what would be asked now -------------------------------------------------------------------


def _is_alike(asked: Asked, response: ActiveResponse, request: LlmRequest) -> bool:
    """Whether it is the same but for the spelling of the user's last words."""
    *before, last = asked.request.messages
    *drafted_before, drafted = request.messages
    return (
        before == drafted_before
        and _last_words(last) == _last_words(drafted)
        and replace(asked.request, messages=request.messages) == request
        and asked.offer == response.offer
    )


def _last_words(message: object) -> tuple[UserContent | str, ...] | None:
    if not isinstance(message, UserMessage):
        return None
    return tuple(_spelt(part.text) if isinstance(part, TextContent) else part for part in message.content)


def _spelt(words: str) -> str:
    """Words without what two hearings of them differ in: case, punctuation, spaces."""
    letters = "".join(letter if _is_said(letter) else " " for letter in words.casefold() if letter not in "'’")
    return " ".join(letters.split())


def _is_said(letter: str) -> bool:
    return letter.isalnum() or unicodedata.category(letter)[0] in "MS"
