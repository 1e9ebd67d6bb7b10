"""The Realtime session: one synchronous call turns a fact into the ordered list of what is to be done.

``Session`` only dispatches; the sub-machines decide. A log of ``(now, input)`` replays to the same outputs.
"""

from typing import assert_never

from msgspec import structs

from antiphon.core.config import SessionConfig
from antiphon.core.conversation import Conversation
from antiphon.core.drafts import Drafts
from antiphon.core.effects import Cause, Effects, IdFactory, sendable
from antiphon.core.hearing import Hearing, Unheard
from antiphon.core.idle import IdleTimer
from antiphon.core.inputs import (
    AudioBudgetChanged,
    AudioProduced,
    AudioReceived,
    ClientEventReceived,
    ClientEventRefused,
    ControlAttached,
    ControlDetached,
    DraftGranted,
    GenerationEnded,
    ImageRead,
    ImageUnread,
    Input,
    ItemMeasured,
    McpCallFailed,
    McpCallFinished,
    McpListFailed,
    McpToolsListed,
    PlayoutCleared,
    PlayoutEnded,
    PlayoutStarted,
    SpeechProbability,
    TextProduced,
    ToolCallProduced,
    TranscriptFailed,
    TranscriptProduced,
    TransportClosed,
    TransportOpened,
    TurnJudged,
    WritingEnded,
)
from antiphon.core.item_checks import decoded_audio
from antiphon.core.items import Items
from antiphon.core.limits import Limits
from antiphon.core.mcp import Mcp
from antiphon.core.mcp_calls import McpCalls
from antiphon.core.output_audio import OutputAudio, StreamedOutput
from antiphon.core.outputs import CloseSession, Output
from antiphon.core.paced_output import PacedOutput
from antiphon.core.response_input import own_prompt
from antiphon.core.response_orders import ResponseOrders
from antiphon.core.response_plan import ResponsePlan
from antiphon.core.responses import Responses
from antiphon.core.seeing import Seeing
from antiphon.core.session_update import updated_session, voice_error
from antiphon.core.settings import Settings
from antiphon.core.stored_prompts import overrides_with_prompt, update_with_prompt
from antiphon.core.truncation import truncate_item
from antiphon.core.user_turns import UserTurns
from antiphon.protocol.base import UNSET, given
from antiphon.protocol.client_events import (
    ClientEvent,
    ConversationItemCreate,
    ConversationItemDelete,
    ConversationItemRetrieve,
    ConversationItemTruncate,
    InputAudioBufferAppend,
    InputAudioBufferClear,
    InputAudioBufferCommit,
    OutputAudioBufferClear,
    ResponseCancel,
    ResponseCreate,
    SessionUpdate,
)
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.items import McpApprovalResponse
from antiphon.protocol.response import ResponseOverrides
from antiphon.protocol.server_events import SessionCreated, SessionUpdated
from antiphon.protocol.session_config import RealtimeSessionUpdate, SessionObject

__all__ = ["Session"]

_EXPIRED = "Your session hit the maximum duration of {minutes} minutes."


class Session:
    """One session, from ``TransportOpened`` to ``CloseSession``. Not thread-safe; call it from one thread."""

    def __init__(self, config: SessionConfig, *, new_id: IdFactory, limits: Limits) -> None:
        self._effects = Effects(new_id)
        self._limits = limits
        self._prompts = config.prompts
        self._settings = Settings(config.session)
        self._conversation = Conversation()
        self._hearing = Hearing(
            self._effects, self._conversation, self._settings, limits, config.turns, partials=config.partials
        )
        self._seeing = Seeing(
            self._effects,
            self._conversation,
            limits,
            model_sees=config.capabilities.images,
            reads=config.reads_images,
        )
        self._items = Items(self._effects, self._conversation, self._hearing, self._seeing, self._settings, limits)
        self._output_audio: OutputAudio = (
            PacedOutput(self._effects, self._conversation) if config.paced else StreamedOutput(self._effects)
        )
        self._idle = IdleTimer(self._effects, self._settings, self._output_audio)
        self._mcp = Mcp(self._effects, self._conversation, limits)
        self._mcp_calls = McpCalls(self._effects, self._conversation, limits)
        self._orders = ResponseOrders(
            self._effects,
            self._conversation,
            self._output_audio,
            limits,
            config.capabilities,
            self._mcp,
            self._mcp_calls,
        )
        self._drafts = Drafts(
            self._effects,
            self._conversation,
            self._hearing,
            self._settings,
            limits,
            self._mcp,
            self._orders,
            config.turns,
            audio_in=config.capabilities.audio_in,
        )
        self._responses = Responses(
            self._effects,
            self._conversation,
            self._hearing,
            self._seeing,
            self._output_audio,
            self._idle,
            limits,
            self._mcp,
            self._mcp_calls,
            self._orders,
            self._drafts,
            audio_in=config.capabilities.audio_in,
        )
        self._turns = UserTurns(
            self._effects,
            self._conversation,
            self._items,
            self._hearing,
            self._responses,
            self._idle,
            self._settings,
            limits,
            self._drafts,
            self._output_audio,
            config.turns,
            paced=config.paced,
        )
        self._closed = False

    # --- seen by the runtime ---------------------------------------------------------------------------------------

    @property
    def settings(self) -> SessionObject:
        """The effective session object."""
        return self._settings.session

    @property
    def conversation_id(self) -> str | None:
        """Of the default conversation; None where the session only transcribes."""
        return self._orders.conversation_id if self._settings.realtime is not None else None

    @property
    def audio_bytes(self) -> int:
        """Bytes of audio kept now."""
        kept = self._turns.audio_bytes + self._conversation.audio_bytes + self._responses.own_audio_bytes
        return kept + self._drafts.held_bytes

    @property
    def deadline(self) -> float | None:
        """Call ``tick`` then; None once the session is closed."""
        if self._closed:
            return None
        due = (self._limits.session_max_s, self._hearing.deadline, self._seeing.deadline, self._idle_deadline)
        return min(time_s for time_s in due if time_s is not None)

    @property
    def _idle_deadline(self) -> float | None:
        """None while anybody speaks, or is about to."""
        return None if self._responses.busy or self._responses.user_speaks else self._idle.deadline

    def handle(self, input: Input, now: float) -> list[Output]:
        """Apply one input; perform the outputs in list order. Bad peer input becomes an ``error`` event.

        ``now``: monotonic seconds since the session began.
        """
        if self._closed:
            return []
        self._effects.now = now
        if not self._drafts.hold(input):
            self._dispatch(input, now)
        return self._take()

    def tick(self, now: float) -> list[Output]:
        """What is due by ``now``."""
        if self._closed:
            return []
        self._effects.now = now
        for place in self._hearing.overdue(now):
            self._unheard(self._hearing.give_up(place))
            self._turns.words_changed(place[0])
            self._items.keep_within_limit()
        self._seeing.overdue(now)
        idle_until = self._idle_deadline
        if now >= self._limits.session_max_s:
            self._expire()
        elif self._settings.realtime is not None and idle_until is not None and now >= idle_until:
            self._turns.time_out()
            self._items.keep_within_limit()
            self._responses.go_on(self._settings.realtime)
        return self._take()

    def _take(self) -> list[Output]:
        """The outputs of this step, with the responses that can begin after it."""
        session = self._settings.realtime
        if session is not None and not self._closed:
            self._responses.advance(session)
            for held in self._drafts.released():
                self._dispatch(held, self._effects.now)
                self._responses.advance(session)
        return self._effects.take()

    # --- dispatch --------------------------------------------------------------------------------------------------

    def _dispatch(self, input: Input, now: float) -> None:  # noqa: C901 - a table, checked for completeness
        match input:
            case AudioReceived():
                self._turns.append(input.pcm)
            case SpeechProbability():
                self._turns.hear(input)
                self._items.keep_within_limit()
            case ClientEventReceived():
                self._client_event_received(input, now)
            case ClientEventRefused():
                self._refuse(input.error, input.origin)
            case TextProduced():
                if response := self._responses.find(input.response_id):
                    response.add_text(sendable(input.text))
                    self._items.keep_within_limit()
            case ToolCallProduced():
                if response := self._responses.find(input.response_id):
                    response.add_call(input.index, sendable(input.name), sendable(input.arguments_delta))
                    self._items.keep_within_limit()
            case WritingEnded():
                if response := self._responses.find(input.response_id):
                    response.end_writing()
            case AudioProduced():
                self._audio_produced(input)
            case GenerationEnded():
                self._responses.ended(input)
                self._items.keep_within_limit()
            case PlayoutStarted() | PlayoutEnded() | PlayoutCleared():
                self._output_audio.learn(input)
            case McpToolsListed():
                self._mcp.listed(input)
            case McpListFailed():
                self._mcp.list_failed(input)
            case McpCallFinished():
                self._mcp_calls.finished(input)
            case McpCallFailed():
                self._mcp_calls.failed(input)
            case TurnJudged():
                self._turns.judged(input)
                self._items.keep_within_limit()
            case DraftGranted():
                self._drafts.granted(input)
            case TranscriptProduced():
                self._hearing.produced((input.item_id, input.content_index), input.transcript)
                self._turns.words_changed(input.item_id)
                self._items.keep_within_limit()
            case TranscriptFailed():
                self._unheard(self._hearing.failed((input.item_id, input.content_index), input.fault))
                self._turns.words_changed(input.item_id)
                self._items.keep_within_limit()
            case ImageRead():
                self._seeing.read((input.item_id, input.content_index), input.reading)
            case ImageUnread():
                self._seeing.unread((input.item_id, input.content_index))
            case ItemMeasured():
                if entry := self._conversation.get(input.item_id):
                    entry.tokens = input.tokens
            case AudioBudgetChanged():
                self._items.set_audio_budget(input.max_bytes)
                self._items.shed_audio()
                self._turns.trim()
            case TransportOpened():
                self._effects.emit(SessionCreated(event_id=self._effects.event_id(), session=self.settings), 0)
                self._mcp.use_for_session(self._mcp.defined(input.tools, "session.tools"))
                self._items.keep_within_limit()
            case ControlAttached() | ControlDetached():
                pass  # it reads along and is told what the client is told
            case TransportClosed():
                self._close(1000, "")
            case _:
                assert_never(input)

    def _client_event_received(self, received: ClientEventReceived, now: float) -> None:
        event_id = given(received.event.event_id, None)
        self._effects.cause = Cause(event_id, received.origin)
        try:
            self._client_event(received.event, now)
        except ProtocolError as error:
            error.event_id = event_id
            self._refuse(error, received.origin)
        finally:
            self._effects.cause = None

    def _client_event(self, event: ClientEvent, now: float) -> None:  # noqa: C901 - a table, checked for completeness
        match event:
            case SessionUpdate():
                self._update_session(event)
            case InputAudioBufferAppend():
                self._turns.append(decoded_audio(event.audio, self._settings.input.format.type, "audio"))
            case InputAudioBufferCommit():
                self._turns.commit()
                self._items.keep_within_limit()
            case InputAudioBufferClear():
                self._turns.clear()
            case ConversationItemCreate():
                self._create_item(event, now)
            case ConversationItemRetrieve():
                self._items.retrieve(event.item_id)
            case ConversationItemTruncate():
                truncate_item(event, self._conversation, self._responses, self._output_audio, self._effects)
            case ConversationItemDelete():
                self._items.delete(event.item_id)
            case ResponseCreate():
                self._create_response(given(event.response, ResponseOverrides()), now)
            case ResponseCancel():
                self._responses.cancel(given(event.response_id, "") or None)
            case OutputAudioBufferClear():
                self._responses.clear_output()
            case _:
                assert_never(event)

    def _refuse(self, error: ProtocolError, origin: int | None) -> None:
        self._effects.emit(error.as_event(self._effects.event_id()), origin)

    # --- what concerns several sub-machines ------------------------------------------------------------------------

    def _update_session(self, event: SessionUpdate) -> None:
        update = event.session
        if isinstance(update, RealtimeSessionUpdate):
            update = update_with_prompt(update, self._prompts, self._limits)
        updated = updated_session(
            self.settings, update, self._limits, voice_frozen=self._settings.voice_heard is not None
        )
        servers = None
        if isinstance(update, RealtimeSessionUpdate) and update.tools is not UNSET:
            tools = update.tools or []
            servers = self._mcp.defined(tools, "session.tools")
            updated = structs.replace(updated, tools=self._mcp.completed(tools, servers))
        self._settings.session = updated
        self._turns.configure()
        self._effects.emit(SessionUpdated(event_id=self._effects.event_id(), session=self.settings))
        if servers is not None:
            self._mcp.use_for_session(servers)
            self._items.keep_within_limit()

    def _create_item(self, event: ConversationItemCreate, now: float) -> None:
        answer = event.item if isinstance(event.item, McpApprovalResponse) else None
        if answer is not None:
            self._mcp_calls.check_answer(answer)
        self._items.create(event, now, announced_id=self._turns.announced_id)
        if answer is not None:
            self._mcp_calls.answer(answer)

    def _create_response(self, overrides: ResponseOverrides, now: float) -> None:
        session = self._settings.realtime
        if session is None:
            raise ProtocolError(
                "invalid_value", "'response.create' is not available in a transcription session.", "type"
            )
        overrides = overrides_with_prompt(overrides, self._prompts, self._limits)
        plan = self._responses.plan(session, overrides)
        self._check_voice(plan)
        prompt = own_prompt(overrides, self._conversation, session.audio.input.format.type, self._limits, self._effects)
        if prompt is not None:
            self._responses.check_room(prompt)
        self._responses.create(plan, prompt)
        self._items.keep_within_limit()
        for entry in prompt.own if prompt else ():
            self._hearing.hear(entry, now, private=True)
            self._seeing.look(entry, now)

    def _check_voice(self, plan: ResponsePlan) -> None:
        session = self._settings.realtime
        speaks = session is not None and plan.modality == "audio" and plan.voice != session.audio.output.voice
        if speaks and self._settings.voice_heard not in (None, plan.voice):
            raise voice_error()

    def _unheard(self, unheard: Unheard | None) -> None:
        if unheard is not None:
            self._responses.transcript_failed(unheard.entry, unheard.fault)

    def _audio_produced(self, spoken: AudioProduced) -> None:
        response = self._responses.find(spoken.response_id)
        entry = None if response is None else response.add_audio(spoken)
        if response is None or entry is None:
            return
        if self._settings.voice_heard is None:
            self._settings.voice_heard = response.plan.voice
        if entry.grew_by_a_block(len(spoken.audio)):
            self._items.shed_audio()

    # --- its end ---------------------------------------------------------------------------------------------------

    def _expire(self) -> None:
        message = _EXPIRED.format(minutes=round(self._limits.session_max_s / 60))
        self._responses.fail_all("session_expired", message)
        self._refuse(ProtocolError("session_expired", message), None)
        self._close(1001, message)

    def _close(self, code: int, reason: str) -> None:
        self._closed = True
        self._hearing.forget_all()
        self._seeing.forget_all()
        self._drafts.stop()
        self._responses.stop_all()
        self._mcp_calls.stop_all()
        self._mcp.stop_all()
        self._effects.order(CloseSession(code, reason))
