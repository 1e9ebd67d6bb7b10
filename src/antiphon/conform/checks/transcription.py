"""Sessions that only transcribe."""

from typing import Any

from antiphon.conform.check import Need, RuleError, Rules, require
from antiphon.conform.checks.input import COMPLETED, commit
from antiphon.conform.checks.session import value_at
from antiphon.conform.connection import Connection
from antiphon.conform.events import Events
from antiphon.conform.probe import Probe

__all__ = ["RULES"]

RULES = Rules("transcription", "Transcription sessions")

_GUIDE = "Guide 'Realtime transcription'"
_OBJECT = "API reference, the transcription session object"
_DELTA = "conversation.item.input_audio_transcription.delta"
_STARTED = "input_audio_buffer.speech_started"


def _input(**fields: Any) -> dict[str, Any]:
    return {"audio": {"input": {"transcription": {"model": "gpt-4o-mini-transcribe", "language": "en"}, **fields}}}


@RULES.check("created", "session.created shows type, object and the audio input", _OBJECT)
async def created(probe: Probe) -> None:
    async with probe.transcription() as connection:
        session = connection.session
        require(
            session.get("object") == "realtime.transcription_session",
            "realtime.transcription_session",
            session.get("object"),
        )
        missing = [one for one in ("id", "expires_at", "include", "audio.input.format", "audio.input.transcription",
                                   "audio.input.noise_reduction", "audio.input.turn_detection")
                   if value_at(session, one) == "absent"]  # fmt: skip
        require(not missing, "all fields", f"without {missing}")


@RULES.check("no-conversation-fields", "It has no voice, tools or instructions", _OBJECT)
async def no_conversation_fields(probe: Probe) -> None:
    async with probe.transcription() as connection:
        found = [
            name for name in ("instructions", "tools", "output_modalities", "tool_choice") if name in connection.session
        ]
        found += ["audio.output"] if "output" in connection.session["audio"] else []
        require(not found, "none of them", found)


@RULES.check("updated", "session.update of type transcription is answered by the whole session", _GUIDE)
async def updated(probe: Probe) -> None:
    async with probe.transcription() as connection:
        session = await connection.configure(**_input(turn_detection=None))
        got = (value_at(session, "audio.input.transcription.model"), value_at(session, "audio.input.turn_detection"))
        require(got == ("gpt-4o-mini-transcribe", None), "the model, turn detection off", got)
        require(session.get("id") == connection.session.get("id"), "the same id", session.get("id"))


@RULES.check("turn-detection-filled", "A partial turn_detection is filled with the defaults", _OBJECT)
async def turn_detection_filled(probe: Probe) -> None:
    async with probe.transcription() as connection:
        session = await connection.configure(**_input(turn_detection={"type": "server_vad"}))
        got = value_at(session, "audio.input.turn_detection")
        names = ("threshold", "prefix_padding_ms", "silence_duration_ms")
        require(isinstance(got, dict) and all(name in got for name in names), f"with {names}", got)


@RULES.check("type-stays", "It does not become a conversation", f"{_GUIDE}, session.type")
async def type_stays(probe: Probe) -> None:
    async with probe.transcription() as connection:
        await connection.refusal("session.update", session={"type": "realtime"})


async def _committed(probe: Probe, connection: Connection) -> Events:
    await connection.configure(**_input(turn_detection=None))
    events = await commit(probe, connection)
    if not events.of(COMPLETED):
        events += await connection.collect(COMPLETED)
    return events


@RULES.check("manual", "A commit is answered by committed, the item and its transcript", _GUIDE, Need.SPEECH)
async def manual(probe: Probe) -> None:
    async with probe.transcription() as connection:
        events = await _committed(probe, connection)
        done = events.one(COMPLETED)
        wanted = events.one("input_audio_buffer.committed").get("item_id")
        require(done.get("item_id") == wanted, f"the item {wanted}", done.get("item_id"))
        require(done.get("transcript"), "some words", done)


@RULES.check(
    "deltas",
    "Deltas of the transcript, where there are any, come before it and add up to it",
    f"API reference, server events, {_DELTA}",
    Need.SPEECH,
)
async def deltas(probe: Probe) -> None:
    async with probe.transcription() as connection:
        events = await _committed(probe, connection)
        text = "".join(event.get("delta") or "" for event in events.of(_DELTA))
        wanted = events.one(COMPLETED).get("transcript")
        require(text in ("", wanted), repr(wanted), repr(text))


@RULES.check("usage", "A transcript tells its usage", f"API reference, server events, {COMPLETED}", Need.SPEECH)
async def usage(probe: Probe) -> None:
    async with probe.transcription() as connection:
        used = (await _committed(probe, connection)).one(COMPLETED).get("usage")
        kind = used.get("type") if isinstance(used, dict) else None
        require(kind in ("tokens", "duration"), "usage of type tokens or duration", used)


@RULES.check("no-response", "It never sends response events", _GUIDE, Need.SPEECH)
async def no_response(probe: Probe) -> None:
    async with probe.transcription() as connection:
        events = await _committed(probe, connection)
        await probe.speak(connection)
        events = Events([*connection.received, *await connection.fence()])
        require(not events.starting("response."), "no response", events.starting("response.").types)


@RULES.check("response-refused", "response.create is refused", _GUIDE)
async def response_refused(probe: Probe) -> None:
    async with probe.transcription() as connection:
        await connection.refusal("response.create")


@RULES.check("detected", "With turn detection a turn is announced, committed and transcribed", _GUIDE, Need.SPEECH)
async def detected(probe: Probe) -> None:
    async with probe.transcription() as connection:
        await connection.configure(**_input(turn_detection={"type": "server_vad"}))
        await probe.speak(connection)
        events = await connection.collect(COMPLETED)
        wanted = [_STARTED, "input_audio_buffer.speech_stopped", "input_audio_buffer.committed", COMPLETED]
        got = [one for one in events.types if one in wanted]
        require(got == wanted, " -> ".join(wanted), " -> ".join(got))
        require(not events.starting("response."), "no response", events.types)


@RULES.check("two-turns", "Committed items follow one another, each with its transcript", _GUIDE, Need.SPEECH)
async def two_turns(probe: Probe) -> None:
    async with probe.transcription() as connection:
        await _committed(probe, connection)
        await _committed(probe, connection)
        committed = connection.received.of("input_audio_buffer.committed")
        got = committed[1].get("previous_item_id")
        require(got == committed[0].get("item_id"), committed[0].get("item_id"), got)
        ids = [event.get("item_id") for event in connection.received.of(COMPLETED)]
        require(sorted(map(str, ids)) == sorted(str(one["item_id"]) for one in committed), "a transcript for each", ids)


@RULES.check("logprobs", "With include logprobs are accepted", f"{_OBJECT}, include", Need.SPEECH)
async def logprobs(probe: Probe) -> None:
    async with probe.transcription() as connection:
        wanted = ["item.input_audio_transcription.logprobs"]
        session = await connection.configure(include=wanted)
        if session.get("include") != wanted:
            raise RuleError(f"include {wanted}", session.get("include"))
