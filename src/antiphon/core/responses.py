"""All responses of a session: at most one in the default conversation, some beside it, and the automatic one to come.

An *automatic* response (turn detection with ``create_response``) is announced only when its turns' transcripts are
there and hold words. A client's ``response.create`` is announced at once and waits for the transcripts that its prompt
needs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from antiphon.core.conversation import Conversation, Entry
from antiphon.core.drafts import Drafts
from antiphon.core.effects import Effects
from antiphon.core.hearing import Hearing
from antiphon.core.idle import IdleTimer
from antiphon.core.inputs import GenerationEnded
from antiphon.core.limits import Limits
from antiphon.core.mcp import Mcp
from antiphon.core.mcp_calls import McpCalls
from antiphon.core.output_audio import OutputAudio
from antiphon.core.outputs import StopResponse
from antiphon.core.response import ActiveResponse, Outcome
from antiphon.core.response_input import OwnPrompt
from antiphon.core.response_orders import ResponseOrders
from antiphon.core.response_plan import ResponsePlan
from antiphon.core.seeing import Seeing
from antiphon.protocol.base import given
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.response import ResponseError, ResponseOverrides, StatusReason
from antiphon.protocol.session_config import RealtimeSession, TurnDetection
from antiphon.vocabulary.errors import EngineErrorKind, EngineFault
from antiphon.vocabulary.llm import TokenUsage

__all__ = ["Responses"]

_NOTHING = TokenUsage()
_UNHEARD = EngineFault(EngineErrorKind.FAILED, message="The speech could not be transcribed.")
_TOO_LONG = EngineFault(
    EngineErrorKind.CONTEXT_OVERFLOW, message="The conversation is longer than what the model can read."
)
_ERROR_TYPES = {
    EngineErrorKind.OVERLOADED: ("rate_limit_exceeded", "rate_limit_exceeded"),
    EngineErrorKind.BAD_INPUT: ("invalid_request_error", "invalid_value"),
    EngineErrorKind.CONTEXT_OVERFLOW: ("invalid_request_error", "context_length_exceeded"),
}


@dataclass(slots=True)
class _Automatic:
    """User turns that wait for their answer."""

    turns: list[Entry]
    interrupts: bool
    """It ends a response that is still running when its words are known."""


class Responses:
    def __init__(
        self,
        effects: Effects,
        conversation: Conversation,
        hearing: Hearing,
        seeing: Seeing,
        output_audio: OutputAudio,
        idle: IdleTimer,
        limits: Limits,
        mcp: Mcp,
        mcp_calls: McpCalls,
        orders: ResponseOrders,
        drafts: Drafts,
        *,
        audio_in: bool,
    ) -> None:
        """``audio_in``: whether the model takes audio, so that a prompt need not wait for words."""
        self._effects = effects
        self._conversation = conversation
        self._hearing = hearing
        self._seeing = seeing
        self._output_audio = output_audio
        self._idle = idle
        self._limits = limits
        self._audio_in = audio_in
        self._mcp = mcp
        self._mcp_calls = mcp_calls
        self._orders = orders
        self._drafts = drafts
        self._default: ActiveResponse | None = None
        self._out_of_band: dict[str, ActiveResponse] = {}
        self._automatic: _Automatic | None = None
        self._waiting: ResponsePlan | None = None
        """What is to begin once the default response has been spoken."""
        self._cut_off: set[str] = set()
        """Responses that the client stopped without cancelling them, until it does or another one begins."""
        self.user_speaks = False
        """Set by the session: between ``speech_started`` and the end of that turn."""

    # --- who there is ----------------------------------------------------------------------------------------------

    @property
    def own_audio_bytes(self) -> int:
        """Audio in the prompts of responses, of items that are not in the conversation."""
        return sum(entry.audio_bytes for response in self._all() for entry in response.own)

    @property
    def busy(self) -> bool:
        """Whether anything is being answered, or about to be."""
        return self._default is not None or self._automatic is not None or bool(self._out_of_band)

    def find(self, response_id: str) -> ActiveResponse | None:
        if self._default is not None and self._default.id == response_id:
            return self._default
        return self._out_of_band.get(response_id)

    def _all(self) -> Iterator[ActiveResponse]:
        if self._default is not None:
            yield self._default
        yield from list(self._out_of_band.values())

    # --- asked for by the client -----------------------------------------------------------------------------------

    def plan(self, session: RealtimeSession, overrides: ResponseOverrides) -> ResponsePlan:
        """Check a ``response.create`` against the settings and the responses that run; changes nothing."""
        plan = self._orders.planned(session, overrides)
        if plan.conversation == "auto" and self._default is not None and not self._can_wait(overrides):
            raise ProtocolError(
                "conversation_already_has_active_response",
                f"Conversation already has an active response in progress: {self._default.id}. "
                "Wait until the response is finished before creating a new one.",
            )
        if plan.conversation == "none" and len(self._out_of_band) >= self._limits.out_of_band_responses:
            raise ProtocolError(
                "too_many_active_responses",
                f"{len(self._out_of_band)} responses run beside the conversation, the most that is allowed. "
                "Wait until one of them is finished.",
            )
        return plan

    def check_room(self, prompt: OwnPrompt) -> None:
        """Raises ``ProtocolError`` where the own items of all responses would be too much to keep."""
        if prompt.audio_bytes:
            self._hearing.check_room(prompt.audio_bytes + self.own_audio_bytes, "response.input")
        if not prompt.image_count:
            return
        own = [entry for response in self._all() for entry in response.own] + prompt.own
        count, size = sum(len(entry.images) for entry in own), sum(entry.image_bytes for entry in own)
        if count > self._limits.images or size > self._limits.image_bytes:
            raise ProtocolError(
                "rate_limit_exceeded",
                f"Responses may hold {self._limits.images} images and {self._limits.image_bytes} characters of them in "
                "their own input. Wait until one of them is finished.",
                "response.input",
            )

    def _can_wait(self, overrides: ResponseOverrides) -> bool:
        """A tool's result may come while the response that asked for it is still being spoken; its answer then begins
        as if the client had waited. Some clients do not, and would never ask again."""
        only_speaks = self._default is not None and self._default.only_speaks
        return only_speaks and self._waiting is None and given(overrides.input, None) is None

    def create(self, plan: ResponsePlan, prompt: OwnPrompt | None) -> None:
        """Announce a planned response; ``prompt`` None: the conversation as it is now. ``advance`` starts it."""
        if plan.conversation == "auto" and self._default is not None:
            self._waiting = plan
            return
        self._begin(plan, prompt)
        self._mcp.use_for_response({label: plan.mcp[label] for label in plan.waits_for})
        if plan.conversation == "auto":
            # It answers the turns that an automatic response was waiting for.
            self._automatic = None

    def cancel(self, response_id: str | None) -> None:
        response = self._default if response_id is None else self.find(response_id)
        if response is None and self._cut_off and (response_id is None or response_id in self._cut_off):
            # Clients interrupt by truncating the item and then cancelling: no error that their users would be shown.
            self._cut_off.clear()
            return
        if response is None:
            raise ProtocolError("response_cancel_not_active", "Cancellation failed: no active response found")
        self._stop(response, "client_cancelled")
        if response_id is None:
            self._give_up_waiting("client_cancelled")

    def interrupt_item(self, item_id: str) -> None:
        """The item of a running response was truncated: its listener has stopped listening."""
        response = next((response for response in self._all() if response.owns(item_id)), None)
        if response is not None:
            self._cut(response)

    def clear_output(self) -> None:
        """The client wants silence: what was audible stops, be it still written or only played. Raises
        ``ProtocolError`` where it is the client that plays."""
        if cut := self._output_audio.clear():
            self._cut_off.clear()
        for response_id in cut:
            if (response := self.find(response_id)) is not None:
                self._cut(response)

    def _cut(self, response: ActiveResponse) -> None:
        self._stop(response, "client_cancelled")
        self._cut_off.add(response.id)

    # --- turns -----------------------------------------------------------------------------------------------------

    def speech_started(self, detection: TurnDetection | None) -> None:
        """Barge-in: speech that starts now ends the default response, where the session says so."""
        self.user_speaks = True
        if detection is not None and detection.interrupt_response:
            self._break_off()
        self._idle.stop()

    def _break_off(self) -> None:
        """Nothing more is to be heard of what the default response said, or is saying."""
        self._output_audio.break_off()
        if self._default is not None:
            self._stop(self._default, "turn_detected")
            self._give_up_waiting("turn_detected")

    def turn_ended(self, entry: Entry, detection: TurnDetection, after: Entry | None = None) -> None:
        """A turn was committed; it is answered once its transcript is there. ``after``: the turn that it goes on with,
        whose answer was given up for it."""
        self.user_speaks = False
        if not detection.create_response:
            return
        turns = [*self._automatic.turns, entry] if self._automatic else [entry]
        if after is not None and after not in turns and (after.pending or after.says_something):
            turns.insert(0, after)
        self._automatic = _Automatic(turns, detection.interrupt_response)

    def _close_called(self) -> None:
        self._mcp_calls.drop_lost()
        for response in self._all():
            if response.has_called:
                self._close(response)

    def advance(self, session: RealtimeSession) -> None:
        """Start whatever has all it needs, end what has made its calls: called after every fact."""
        self._close_called()
        if self._default is None and (plan := self._take_waiting()) is not None:
            self.create(plan, None)
        for response in self._all():
            self._start_if_ready(response)
        self._answer(session)
        turns = self._automatic.turns if self._automatic is not None else []
        self._drafts.look(session, free=self._default is None, unanswered=turns)

    def _answer(self, session: RealtimeSession) -> None:
        """Begin the automatic response, once the words of its turns are there."""
        automatic = self._automatic
        if automatic is None or self.user_speaks or any(turn.pending for turn in automatic.turns):
            return
        failed = any("failed" in turn.transcripts.values() for turn in automatic.turns)
        if not failed and not any(turn.says_something for turn in automatic.turns):
            self._automatic = None
            if self._default is None:
                self._idle.start()
            return
        if self._default is not None:
            if not automatic.interrupts:
                return
            self._break_off()
        self._automatic = None
        plan = self._orders.planned(session, ResponseOverrides())
        if failed:
            self._close(self._begin(plan, None), _failure(_UNHEARD), _NOTHING)
        elif (draft := self._drafts.fit_for(plan, automatic.turns)) is not None:
            self._enter(draft)
            self._drafts.adopt()
        else:
            self._start_if_ready(self._begin(plan, None))

    def go_on(self, session: RealtimeSession) -> None:
        """Answer though nobody has spoken. Only while nothing is active."""
        self._start_if_ready(self._begin(self._orders.planned(session, ResponseOverrides()), None))

    def transcript_failed(self, entry: Entry, fault: EngineFault) -> None:
        """Responses that waited for these words cannot be given."""
        for response in self._all():
            if not response.generating and entry in response.entries:
                self._close(response, _failure(fault), _NOTHING)

    # --- generation ------------------------------------------------------------------------------------------------

    def ended(self, fact: GenerationEnded) -> None:
        response = self.find(fact.response_id)
        if response is None or not response.is_generating:
            return
        if fact.fault is None:
            response.end_generation(_outcome(fact), fact.usage)
        elif fact.fault.kind is EngineErrorKind.CONTEXT_OVERFLOW and response.can_be_cut:
            response.retried = True
            self._order_start(response)
        else:
            self._close(response, _failure(fact.fault), fact.usage)

    def fail_all(self, code: str, message: str) -> None:
        """The session is about to end, and the client can still be told of it."""
        self._automatic = self._waiting = None
        error = ResponseError(type="invalid_request_error", code=code, message=message)
        for response in self._all():
            self._stop_generation(response)
            self._close(response, Outcome("failed", error=error), _NOTHING)

    def stop_all(self) -> None:
        """The session ends; nobody is left to be told."""
        for response in self._all():
            self._stop_generation(response)
        self._default = None
        self._out_of_band.clear()
        self._automatic = self._waiting = None

    # --- steps -----------------------------------------------------------------------------------------------------

    def _begin(self, plan: ResponsePlan, prompt: OwnPrompt | None) -> ActiveResponse:
        response = self._orders.made(plan, OwnPrompt(list(self._conversation)) if prompt is None else prompt)
        self._enter(response)
        return response

    def _enter(self, response: ActiveResponse) -> None:
        """From now on it is one of the responses, and the client knows."""
        if response.plan.conversation == "auto":
            self._default = response
            self._cut_off.clear()
            self._idle.stop()
        else:
            self._out_of_band[response.id] = response
        response.announce()

    def _start_if_ready(self, response: ActiveResponse) -> None:
        if response.generating or response.waits(audio_in=self._audio_in):
            return
        if self._mcp.is_listing(response.plan.waits_for):
            return
        self._order_start(response)
        if not self._audio_in:
            for entry in response.own:
                entry.drop_audio()

    def _order_start(self, response: ActiveResponse) -> None:
        order = self._orders.start(response)
        if order is None:
            self._close(response, _failure(_TOO_LONG), _NOTHING)
        else:
            self._effects.order(order)

    def _take_waiting(self) -> ResponsePlan | None:
        plan, self._waiting = self._waiting, None
        return plan

    def _give_up_waiting(self, reason: StatusReason) -> None:
        """It was asked for, so it is announced, and ended for the reason that ended the response before it."""
        if (plan := self._take_waiting()) is not None:
            self._stop(self._begin(plan, None), reason)

    def _stop(self, response: ActiveResponse, reason: StatusReason) -> None:
        self._stop_generation(response)
        self._close(response, Outcome("cancelled", reason))

    def _stop_generation(self, response: ActiveResponse) -> None:
        if response.is_generating:
            self._effects.order(StopResponse(response.id))

    def _close(self, response: ActiveResponse, outcome: Outcome | None = None, usage: TokenUsage = _NOTHING) -> None:
        """Without an outcome: as its generation ended."""
        if response is self._default:
            self._default = None
        else:
            del self._out_of_band[response.id]
        for entry in response.own:
            self._hearing.forget(entry.id)
            self._seeing.forget(entry.id)
        response.close(outcome, usage)
        if response.ends_turn and not self.user_speaks:
            self._idle.start()


def _outcome(fact: GenerationEnded) -> Outcome:
    if fact.reason == "length":
        return Outcome("incomplete", "max_output_tokens")
    if fact.reason == "content_filter":
        return Outcome("incomplete", "content_filter")
    return Outcome("completed")


def _failure(fault: EngineFault) -> Outcome:
    type_, code = _ERROR_TYPES.get(fault.kind, ("server_error", f"engine_{fault.kind}"))
    message = fault.message or "The response could not be generated."
    return Outcome("failed", error=ResponseError(type=type_, code=code, message=message))
