"""Turn detection by the server, and barge-in."""

from typing import Any

from antiphon.conform.check import Event, Need, NotApplicableError, RuleError, Rules, require
from antiphon.conform.checks.input import COMPLETED
from antiphon.conform.connection import Connection, message
from antiphon.conform.events import Events
from antiphon.conform.probe import INPUT_HZ, Probe, append

__all__ = ["RULES"]

RULES = Rules("turns", "Turns detected by the server")

_GUIDE = "Guide 'Voice activity detection (VAD)'"
_RECORDED = "recorded sessions of the hosted API"
_STARTED = "input_audio_buffer.speech_started"
_STOPPED = "input_audio_buffer.speech_stopped"
_COMMITTED = "input_audio_buffer.committed"
_SERVER = "API reference, server events"
_BARGE_IN = "Guide 'Realtime conversations', interruption and truncation"


def _detecting(**fields: Any) -> dict[str, Any]:
    return {"audio": {"input": {"turn_detection": {"type": "server_vad", **fields}}}}


async def _turn(probe: Probe, connection: Connection, **detection: Any) -> Events:
    """A spoken turn without an answer; returns the events up to those of its item."""
    await connection.configure(**_detecting(create_response=False, **detection))
    await probe.speak(connection)
    events = await connection.collect(_COMMITTED)
    return Events([*events, *await connection.fence()])


@RULES.check(
    "order", "A turn: speech_started, speech_stopped, committed, item.added, item.done", _RECORDED, Need.SPEECH
)
async def order(probe: Probe) -> None:
    async with probe.connect() as connection:
        types = (await _turn(probe, connection)).types
        wanted = [_STARTED, _STOPPED, _COMMITTED, "conversation.item.added", "conversation.item.done"]
        require(types == wanted, " -> ".join(wanted), " -> ".join(types))


@RULES.check("one-item", "All events of a turn are about one item", _RECORDED, Need.SPEECH)
async def one_item(probe: Probe) -> None:
    async with probe.connect() as connection:
        events = await _turn(probe, connection)
        ids = [event.get("item_id") or event["item"].get("id") for event in events]
        require(len(set(ids)) == 1 and all(ids), "one id", ids)


@RULES.check(
    "times",
    "audio_start_ms and audio_end_ms lie in the audio that was sent, in order",
    f"{_SERVER}, {_STARTED}",
    Need.SPEECH,
)
async def times(probe: Probe) -> None:
    async with probe.connect() as connection:
        events = await _turn(probe, connection)
        start, end = events.one(_STARTED).get("audio_start_ms"), events.one(_STOPPED).get("audio_end_ms")
        sent_ms = len(probe.speech_pcm) * 1000 // (2 * INPUT_HZ) + 1200
        right = isinstance(start, int | float) and isinstance(end, int | float) and 0 <= start < end <= sent_ms
        require(right, f"0 <= start < end <= {sent_ms}", (start, end))


@RULES.check(
    "times-go-on",
    "The times of a second turn count from the beginning of the session",
    f"{_SERVER}, {_STARTED}",
    Need.SPEECH,
)
async def times_go_on(probe: Probe) -> None:
    async with probe.connect() as connection:
        first = (await _turn(probe, connection)).one(_STOPPED)["audio_end_ms"]
        await probe.speak(connection)
        second = (await connection.collect(_STOPPED)).one(_STARTED)["audio_start_ms"]
        require(second > first - 300, f"audio_start_ms behind {first}", second)


@RULES.check("place", "A turn's item follows what was there before", f"{_SERVER}, {_COMMITTED}", Need.SPEECH)
async def place(probe: Probe) -> None:
    async with probe.connect() as connection:
        item_id = await connection.create(message("Before."))
        got = (await _turn_after(probe, connection)).one(_COMMITTED).get("previous_item_id")
        require(got == item_id, item_id, repr(got))


async def _turn_after(probe: Probe, connection: Connection) -> Events:
    await connection.fence()
    return await _turn(probe, connection)


@RULES.check("answered", "With create_response a turn is answered", f"{_GUIDE}, create_response", Need.SPEECH)
async def answered(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.configure(output_modalities=["text"], **_detecting())
        await probe.speak(connection)
        events = await connection.collect("response.done")
        types = events.types
        got = [one for one in types if one in (_COMMITTED, "response.created")]
        require(got == [_COMMITTED, "response.created"], "the turn is committed, then answered", types)
        require(events[-1]["response"].get("status") == "completed", "completed", events[-1]["response"].get("status"))


@RULES.check(
    "not-answered",
    "With create_response false a turn is committed and not answered",
    f"{_GUIDE}, create_response",
    Need.SPEECH,
)
async def not_answered(probe: Probe) -> None:
    async with probe.connect() as connection:
        events = await _turn(probe, connection)
        require(not events.starting("response."), "no response", events.types)


@RULES.check("silence", "Silence is no speech", _GUIDE)
async def silence(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.configure(**_detecting())
        await append(connection, bytes(INPUT_HZ * 2 * 2))
        types = (await connection.fence()).types
        require(not types, "nothing", types)


@RULES.check(
    "long-silence-asked",
    "A turn lasts through pauses shorter than silence_duration_ms",
    f"{_GUIDE}, silence_duration_ms",
    Need.SPEECH,
)
async def long_silence_asked(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.configure(**_detecting(create_response=False, silence_duration_ms=1500))
        for silence_ms in (800, 2400):
            await probe.speak(connection, silence_ms=silence_ms)
        events = await connection.collect(_COMMITTED)
        require(len(events.of(_STARTED)) == 1, "one turn", events.types)


@RULES.check("transcribed", "With transcription on a turn is transcribed", f"{_SERVER}, {COMPLETED}", Need.SPEECH)
async def transcribed(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.configure(audio={"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}})
        events = await _turn(probe, connection)
        done = (events.of(COMPLETED) or await connection.collect(COMPLETED))[-1]
        require(done.get("item_id") == events.one(_COMMITTED).get("item_id"), "the turn's item", done.get("item_id"))
        require(done.get("transcript"), "some words", done)


@RULES.check("semantic", "semantic_vad ends a turn, too", f"{_GUIDE}, semantic VAD", Need.SPEECH, Need.TIME)
async def semantic(probe: Probe) -> None:
    async with probe.connect() as connection:
        detection = {"type": "semantic_vad", "eagerness": "high", "create_response": False}
        await connection.configure(audio={"input": {"turn_detection": detection}})
        await probe.speak(connection, silence_ms=9000)
        events = await connection.collect(_COMMITTED)
        require(events.of(_STARTED) and events.of(_STOPPED), "speech_started and speech_stopped", events.types)


async def _interrupted(probe: Probe, connection: Connection, **detection: Any) -> Events:
    """Speech while an endless answer is spoken; returns the events from the answer's first audio on."""
    await connection.configure(**_detecting(create_response=False, **detection))
    await connection.create(message(probe.lasting()))
    await connection.send("response.create", response={"output_modalities": ["audio"]})
    begun = await connection.collect("response.output_audio.delta")
    await probe.speak(connection)
    events = await connection.collect("response.done")
    if _reason(events[-1])[0] == "completed" and not events.of(_STARTED):
        raise NotApplicableError("the answer was over before it could be interrupted")
    return Events([begun[-1], *events])


def _reason(event: Event) -> tuple[object, object]:
    details = event["response"].get("status_details")
    return (event["response"].get("status"), details.get("reason") if isinstance(details, dict) else details)


@RULES.check("barge-in", "Speech ends a running answer as cancelled, turn_detected", _BARGE_IN, Need.SPEECH, Need.VOICE)
async def barge_in(probe: Probe) -> None:
    async with probe.connect() as connection:
        got = _reason((await _interrupted(probe, connection))[-1])
        require(got == ("cancelled", "turn_detected"), "cancelled, turn_detected", got)


@RULES.check(
    "barge-in-order",
    "speech_started comes before the end of the answer that it interrupts",
    _BARGE_IN,
    Need.SPEECH,
    Need.VOICE,
)
async def barge_in_order(probe: Probe) -> None:
    async with probe.connect() as connection:
        types = (await _interrupted(probe, connection)).types
        require(_STARTED in types, f"{_STARTED} before response.done", types)


@RULES.check(
    "barge-in-truncate", "A client may truncate the answer that was interrupted", _BARGE_IN, Need.SPEECH, Need.VOICE
)
async def barge_in_truncate(probe: Probe) -> None:
    async with probe.connect() as connection:
        item_id = (await _interrupted(probe, connection))[0]["item_id"]
        await connection.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=100)
        event = await connection.expect("conversation.item.truncated")
        require(event.get("item_id") == item_id, item_id, event.get("item_id"))


@RULES.check(
    "truncate-running",
    "An answer can be truncated while it is still being spoken",
    "observed: Agents SDKs and Pipecat do so at speech_started",
    Need.VOICE,
)
async def truncate_running(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.create(message(probe.lasting()))
        await connection.send("response.create", response={"output_modalities": ["audio"]})
        item_id = (await connection.expect("response.output_audio.delta"))["item_id"]
        await connection.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=50)
        await connection.expect("conversation.item.truncated")
        await connection.send("response.cancel")


@RULES.check(
    "interrupt-off",
    "With interrupt_response false speech leaves the answer alone",
    f"{_GUIDE}, interrupt_response",
    Need.SPEECH,
    Need.VOICE,
    Need.SCRIPT,
)
async def interrupt_off(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.configure(**_detecting(create_response=False, interrupt_response=False))
        await connection.create(message(probe.lasting()))
        await connection.send("response.create", response={"output_modalities": ["audio"]})
        await connection.collect("response.output_audio.delta")
        await probe.speak(connection)
        events = await connection.collect(_COMMITTED)
        require(not events.of("response.done"), "the answer goes on", events.sequence)
        await connection.send("response.cancel")
        got = _reason(await connection.expect("response.done"))
        require(got == ("cancelled", "client_cancelled"), "cancelled by the client only", got)


@RULES.check(
    "idle-timeout",
    "idle_timeout_ms after an answer, if nobody speaks: timeout_triggered, committed, another answer",
    f"{_SERVER}, input_audio_buffer.timeout_triggered",
    Need.SPEECH,
    Need.TIME,
)
async def idle_timeout(probe: Probe) -> None:
    async with probe.connect() as connection:
        connection.timeout_s = 20
        await connection.configure(output_modalities=["text"], **_detecting(idle_timeout_ms=5000))
        await connection.turn("say Hello.")
        await append(connection, bytes(INPUT_HZ * 2 * 6))
        try:
            events = await connection.collect("response.created")
        except RuleError as failure:
            raise RuleError("timeout_triggered -> committed -> response.created", failure.got) from failure
        got = [
            one
            for one in events.types
            if one in ("input_audio_buffer.timeout_triggered", _COMMITTED, "response.created")
        ]
        wanted = ["input_audio_buffer.timeout_triggered", _COMMITTED, "response.created"]
        require(got == wanted, " -> ".join(wanted), " -> ".join(got))
