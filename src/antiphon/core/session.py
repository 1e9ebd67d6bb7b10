"""The Realtime session: one synchronous call turns a fact into the ordered list of what is to be done.

``Session`` only dispatches; the sub-machines decide. A log of ``(now, input)`` replays to the same outputs.
"""

from typing import assert_never

from msgspec import structs

from antiphon.core.config import SessionConfig
from antiphon.core.conversation import Conversation, Entry, KeptAudio
from antiphon.core.effects import Effects, IdFactory
from antiphon.core.input_buffer import InputBuffer
from antiphon.core.inputs import (
    INPUT_HZ,
    AudioBudgetChanged,
    AudioProduced,
    AudioReceived,
    ClientEventReceived,
    ClientEventRefused,
    GenerationEnded,
    Input,
    ItemMeasured,
    SpeechProbability,
    TextProduced,
    ToolCallProduced,
    TranscriptFailed,
    TranscriptProduced,
    TransportClosed,
    TransportOpened,
)
from antiphon.core.item_checks import checked_entry
from antiphon.core.item_view import retrieved_item
from antiphon.core.limits import Limits
from antiphon.core.outputs import CloseSession, MeasureItem, Output, TurnClosed
from antiphon.core.prompt import item_text
from antiphon.core.responses import Responses
from antiphon.core.session_update import updated_session
from antiphon.core.transcription import Place, Transcriptions
from antiphon.core.truncation import truncate_item
from antiphon.protocol.base import given
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
from antiphon.protocol.items import InputAudio, ItemReference, Message
from antiphon.protocol.response import ResponseOverrides
from antiphon.protocol.server_events import (
    ConversationItemAdded,
    ConversationItemDeleted,
    ConversationItemDone,
    ConversationItemRetrieved,
    InputAudioBufferCleared,
    InputAudioBufferCommitted,
    InputAudioBufferSpeechStarted,
    InputAudioBufferSpeechStopped,
    SessionCreated,
    SessionUpdated,
)
from antiphon.protocol.session_config import AudioInput, RealtimeSession, SessionObject
from antiphon.turns.types import SpeechPaused, SpeechStarted, SpeechStopped, TurnEvent
from antiphon.vocabulary.errors import EngineErrorKind, EngineFault
from antiphon.vocabulary.speech import Transcript

__all__ = ["Session"]

_MIN_COMMIT_MS = 100
_EXPIRED = "Your session hit the maximum duration of {minutes} minutes."


class Session:
    """One session, from ``TransportOpened`` to ``CloseSession``. Not thread-safe; call it from one thread."""

    def __init__(self, config: SessionConfig, *, new_id: IdFactory, limits: Limits) -> None:
        self._effects = Effects(new_id)
        self._limits = limits
        self._settings: SessionObject = config.session
        self._partials = config.partials
        self._audio_bytes = limits.audio_bytes
        self._conversation = Conversation()
        self._buffer = InputBuffer(self._input.turn_detection, limits)
        self._transcriptions = Transcriptions(self._effects, limits)
        self._responses = Responses(self._effects, self._conversation, limits, config.capabilities, new_id("conv"))
        self._loose: dict[str, Entry] = {}
        """Items of a response's own ``input`` whose audio is still being heard."""
        self._voice_frozen = False
        self._closed = False

    # --- seen by the runtime ---------------------------------------------------------------------------------------

    @property
    def settings(self) -> SessionObject:
        """The effective session object."""
        return self._settings

    @property
    def audio_bytes(self) -> int:
        """Bytes of audio kept now."""
        return self._buffer.audio_bytes + self._conversation.audio_bytes

    @property
    def detects_turns(self) -> bool:
        """Whether speech probabilities are wanted."""
        return self._input.turn_detection is not None

    @property
    def deadline(self) -> float | None:
        """Call ``tick`` then; None once the session is closed."""
        if self._closed:
            return None
        heard = self._transcriptions.deadline
        return self._limits.session_max_s if heard is None else min(heard, self._limits.session_max_s)

    def handle(self, input: Input, now: float) -> list[Output]:
        """Apply one input; perform the outputs in list order. Bad peer input becomes an ``error`` event.

        ``now``: monotonic seconds since the session began.
        """
        if self._closed:
            return []
        self._dispatch(input, now)
        return self._effects.take()

    def tick(self, now: float) -> list[Output]:
        """What is due by ``now``."""
        if self._closed:
            return []
        for place in self._transcriptions.overdue(now):
            self._transcript_failed(place, EngineFault(EngineErrorKind.TIMEOUT, message="Transcription took too long."))
        if now >= self._limits.session_max_s:
            self._expire()
        return self._effects.take()

    # --- dispatch --------------------------------------------------------------------------------------------------

    def _dispatch(self, input: Input, now: float) -> None:  # noqa: C901 - a table, checked for completeness
        match input:
            case AudioReceived():
                self._audio_received(input.pcm)
            case SpeechProbability():
                for event in self._buffer.hear(input.first_sample, input.window_samples, input.value, input.level_dbfs):
                    self._turn_event(event, now)
            case ClientEventReceived():
                self._client_event_received(input, now)
            case ClientEventRefused():
                self._refuse(input.error, input.origin)
            case TextProduced():
                if response := self._responses.find(input.response_id):
                    response.add_text(input.text)
            case ToolCallProduced():
                if response := self._responses.find(input.response_id):
                    response.add_call(input.index, input.name, input.arguments_delta)
            case AudioProduced():
                self._audio_produced(input)
            case GenerationEnded():
                self._responses.ended(input)
                self._after_change()
            case TranscriptProduced():
                self._transcript_produced((input.item_id, input.content_index), input.transcript)
            case TranscriptFailed():
                self._transcript_failed((input.item_id, input.content_index), input.fault)
            case ItemMeasured():
                if entry := self._conversation.get(input.item_id):
                    entry.tokens = input.tokens
            case AudioBudgetChanged():
                self._audio_bytes = min(input.max_bytes, self._limits.audio_bytes)
                self._shed_audio()
            case TransportOpened():
                self._effects.emit(SessionCreated(event_id=self._effects.event_id(), session=self._settings))
            case TransportClosed():
                self._close(1000, "")
            case _:
                assert_never(input)

    def _client_event_received(self, received: ClientEventReceived, now: float) -> None:
        try:
            self._client_event(received.event, now)
        except ProtocolError as error:
            error.event_id = given(received.event.event_id, None)
            self._refuse(error, received.origin)

    def _client_event(self, event: ClientEvent, now: float) -> None:  # noqa: C901 - a table, checked for completeness
        match event:
            case SessionUpdate():
                self._update_session(event)
            case InputAudioBufferAppend():
                self._audio_received(event.audio)
            case InputAudioBufferCommit():
                self._commit_by_client(now)
            case InputAudioBufferClear():
                self._clear_input()
            case ConversationItemCreate():
                self._create_item(event, now)
            case ConversationItemRetrieve():
                entry = self._conversation.require(event.item_id, "retrieve", "retrieving")
                item = retrieved_item(entry, self._input.format.type, self._limits)
                self._effects.emit(ConversationItemRetrieved(event_id=self._effects.event_id(), item=item))
            case ConversationItemTruncate():
                truncate_item(event, self._conversation, self._responses, self._effects)
                self._after_change()
            case ConversationItemDelete():
                self._delete_item(event)
            case ResponseCreate():
                self._create_response(given(event.response, ResponseOverrides()), now)
            case ResponseCancel():
                self._responses.cancel(given(event.response_id, "") or None)
                self._after_change()
            case OutputAudioBufferClear():
                raise ProtocolError(
                    "invalid_value", "'output_audio_buffer.clear' is only available over WebRTC and SIP.", "type"
                )
            case _:
                assert_never(event)

    def _refuse(self, error: ProtocolError, origin: int) -> None:
        self._effects.emit(error.as_event(self._effects.event_id()), origin)

    # --- settings --------------------------------------------------------------------------------------------------

    @property
    def _input(self) -> AudioInput:
        return self._settings.audio.input

    def _update_session(self, event: SessionUpdate) -> None:
        settings = updated_session(self._settings, event.session, self._limits, voice_frozen=self._voice_frozen)
        self._settings = settings
        self._buffer.configure(self._input.turn_detection)
        self._effects.emit(SessionUpdated(event_id=self._effects.event_id(), session=settings))

    # --- input audio -----------------------------------------------------------------------------------------------

    def _audio_received(self, pcm: bytes) -> None:
        self._buffer.append(pcm, self._audio_bytes // 2)
        utterance = self._buffer.utterance
        if utterance is not None and utterance.transcribing:
            self._transcriptions.feed((utterance.item_id, 0), pcm)

    def _turn_event(self, event: TurnEvent, now: float) -> None:
        match event:
            case SpeechStarted():
                self._speech_started(event)
            case SpeechStopped():
                self._speech_stopped(event, now)
            case SpeechPaused():
                pass

    def _speech_started(self, event: SpeechStarted) -> None:
        utterance = self._buffer.begin(self._effects.new_id("item"), event.from_sample)
        self._effects.emit(
            InputAudioBufferSpeechStarted(
                event_id=self._effects.event_id(),
                audio_start_ms=_ms(utterance.start_sample),
                item_id=utterance.item_id,
            )
        )
        self._responses.speech_started(self._input.turn_detection)
        if self._partials and self._input.transcription is not None:
            place = (utterance.item_id, 0)
            utterance.transcribing = True
            self._begin_transcription(place, partials=True)
            self._transcriptions.feed(place, self._buffer.read(utterance.start_sample))

    def _speech_stopped(self, event: SpeechStopped, now: float) -> None:
        utterance = self._buffer.utterance
        detection = self._input.turn_detection
        if utterance is None or detection is None:
            return
        self._effects.emit(
            InputAudioBufferSpeechStopped(
                event_id=self._effects.event_id(), audio_end_ms=_ms(event.at_sample), item_id=utterance.item_id
            )
        )
        entry = self._commit(event.at_sample, now)
        lag_ms = _ms(self._buffer.end_sample - event.at_sample)
        self._effects.order(TurnClosed(entry.id, self._buffer.silence_duration_ms + lag_ms))
        if isinstance(self._settings, RealtimeSession):
            self._responses.turn_ended(entry, detection)
        self._after_change()

    def _commit_by_client(self, now: float) -> None:
        if self._buffer.held_ms < _MIN_COMMIT_MS:
            raise ProtocolError(
                "input_audio_buffer_commit_empty",
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
                f"but buffer only has {self._buffer.held_ms:.2f}ms of audio.",
            )
        self._commit(None, now)
        self._responses.user_speaks = False
        self._after_change()

    def _commit(self, end_sample: int | None, now: float) -> Entry:
        """The turn's audio becomes a user item, and is heard."""
        utterance = self._buffer.utterance
        item_id = utterance.item_id if utterance else self._effects.new_id("item")
        pcm = self._buffer.take(end_sample)
        item = Message(id=item_id, status="completed", role="user", content=[InputAudio()])
        entry = Entry(item, item_id, {0: "pending"}, {0: KeptAudio(bytearray(pcm), "audio/pcm")})
        self._effects.emit(
            InputAudioBufferCommitted(
                event_id=self._effects.event_id(), previous_item_id=self._conversation.last_id, item_id=item_id
            )
        )
        self._add_entry(entry, None)
        place = (item_id, 0)
        if utterance is None or not utterance.transcribing:
            self._begin_transcription(place)
            self._transcriptions.feed(place, pcm)
        self._transcriptions.end(place, now)
        return entry

    def _clear_input(self) -> None:
        if self._buffer.utterance is not None:
            self._transcriptions.stop((self._buffer.utterance.item_id, 0))
        self._buffer.clear()
        self._responses.user_speaks = False
        self._effects.emit(InputAudioBufferCleared(event_id=self._effects.event_id()))
        self._after_change()

    # --- hearing ---------------------------------------------------------------------------------------------------

    def _begin_transcription(self, place: Place, *, partials: bool = False) -> None:
        logprobs = bool(self._settings.include)
        self._transcriptions.begin(place, self._input.transcription, partials=partials, logprobs=logprobs)

    def _transcribe(self, entry: Entry, now: float) -> None:
        """Hear every audio part of an item whose words are not known."""
        for index, state in entry.transcripts.items():
            if state == "pending":
                place = (entry.id, index)
                self._begin_transcription(place)
                self._transcriptions.feed(place, bytes(entry.audio[index].data))
                self._transcriptions.end(place, now)

    def _transcript_produced(self, place: Place, transcript: Transcript) -> None:
        if self._transcriptions.heard(place, transcript):
            self._settle(place, transcript.text, None)

    def _transcript_failed(self, place: Place, fault: EngineFault) -> None:
        if self._transcriptions.failed(place, fault):
            self._settle(place, "", fault)

    def _settle(self, place: Place, text: str, fault: EngineFault | None) -> None:
        item_id, content_index = place
        entry = self._conversation.get(item_id) or self._loose.get(item_id)
        if entry is None:
            return
        entry.set_transcript(content_index, text, "known" if fault is None else "failed")
        if fault is not None:
            self._responses.transcript_failed(entry, fault)
        if not entry.pending:
            self._loose.pop(item_id, None)
            self._effects.order(MeasureItem(item_id, item_text(entry)))
        self._after_change()

    # --- items -----------------------------------------------------------------------------------------------------

    def _create_item(self, event: ConversationItemCreate, now: float) -> None:
        place = self._conversation.place_after(given(event.previous_item_id, ""))
        entry = checked_entry(
            event.item,
            conversation=self._conversation,
            format=self._input.format.type,
            limits=self._limits,
            new_id=self._effects.new_id,
            param="item",
        )
        self._add_entry(entry, place)
        self._transcribe(entry, now)
        if not entry.pending:
            self._effects.order(MeasureItem(entry.id, item_text(entry)))

    def _add_entry(self, entry: Entry, place: int | None) -> None:
        previous = self._conversation.add(entry, place)
        item = entry.item
        for kind in (ConversationItemAdded, ConversationItemDone):
            self._effects.emit(kind(event_id=self._effects.event_id(), previous_item_id=previous, item=item))
        if entry.audio:
            self._shed_audio()

    def _delete_item(self, event: ConversationItemDelete) -> None:
        entry = self._conversation.require(event.item_id, "delete", "deleting")
        self._conversation.delete(entry)
        self._transcriptions.stop_item(entry.id)
        entry.transcripts.clear()
        self._effects.emit(ConversationItemDeleted(event_id=self._effects.event_id(), item_id=entry.id))
        self._after_change()

    def _shed_audio(self) -> None:
        self._buffer.trim(self._audio_bytes // 2)
        self._conversation.shed_audio(self._audio_bytes // 2)

    # --- responses -------------------------------------------------------------------------------------------------

    def _create_response(self, overrides: ResponseOverrides, now: float) -> None:
        if not isinstance(self._settings, RealtimeSession):
            raise ProtocolError(
                "invalid_value", "'response.create' is not available in a transcription session.", "type"
            )
        plan = self._responses.plan(self._settings, overrides)
        entries = self._input_entries(overrides)
        for entry in entries or ():
            if entry.pending and self._conversation.get(entry.id) is None:
                self._loose[entry.id] = entry
                self._transcribe(entry, now)
        self._responses.create(self._settings, plan, entries)

    def _input_entries(self, overrides: ResponseOverrides) -> list[Entry] | None:
        """A response's own prompt, if it brings one: its items, and the conversation's by reference."""
        items = given(overrides.input, None)
        if items is None:
            return None
        entries: list[Entry] = []
        for index, item in enumerate(items):
            param = f"response.input[{index}]"
            if isinstance(item, ItemReference):
                entry = self._conversation.get(item.id)
                if entry is None:
                    raise ProtocolError(
                        "invalid_value",
                        f"Invalid '{param}.id': the item with id '{item.id}' does not exist.",
                        f"{param}.id",
                    )
                entries.append(entry)
            else:
                entries.append(
                    checked_entry(
                        structs.replace(item, id=self._effects.new_id("item")),
                        conversation=Conversation(),
                        format=self._input.format.type,
                        limits=self._limits,
                        new_id=self._effects.new_id,
                        param=param,
                    )
                )
        return entries

    def _audio_produced(self, spoken: AudioProduced) -> None:
        response = self._responses.find(spoken.response_id)
        if response is not None and response.add_audio(spoken) is not None:
            self._voice_frozen = True

    def _after_change(self) -> None:
        if isinstance(self._settings, RealtimeSession):
            self._responses.advance(self._settings)

    # --- its end ---------------------------------------------------------------------------------------------------

    def _expire(self) -> None:
        message = _EXPIRED.format(minutes=round(self._limits.session_max_s / 60))
        self._refuse(ProtocolError("session_expired", message), 0)
        self._close(1001, message)

    def _close(self, code: int, reason: str) -> None:
        self._closed = True
        self._transcriptions.stop_all()
        self._responses.stop_all()
        self._effects.order(CloseSession(code, reason))


def _ms(samples: int) -> int:
    return samples * 1000 // INPUT_HZ
