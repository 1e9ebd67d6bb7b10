"""Audio that the client sends and commits by itself."""

import base64
import functools
from typing import Any

from antiphon.conform.check import Level, Need, Rules, require
from antiphon.conform.connection import Connection
from antiphon.conform.events import Events, joined
from antiphon.conform.probe import INPUT_HZ, Probe, append

__all__ = ["COMPLETED", "RULES", "commit"]

RULES = Rules("input", "Input audio, committed by the client")

COMPLETED = "conversation.item.input_audio_transcription.completed"
_APPEND = "API reference, client events, input_audio_buffer.append"
_COMMIT = "API reference, client events, input_audio_buffer.commit"
_CLEAR = "API reference, client events, input_audio_buffer.clear"
_RECORDED = "recorded sessions of the hosted API"
_TRANSCRIBED = "API reference, server events, " + COMPLETED
_DELTA = "conversation.item.input_audio_transcription.delta"


def _manual(**fields: Any) -> dict[str, Any]:
    return {"audio": {"input": {"turn_detection": None, **fields}}}


async def commit(probe: Probe, connection: Connection, format: str = "audio/pcm") -> Events:
    """Send the sentence and commit it; returns the events up to those of the item."""
    await probe.speak(connection, silence_ms=0, format=format)
    await connection.send("input_audio_buffer.commit")
    events = await connection.collect("input_audio_buffer.committed")
    return Events([*events, *await connection.fence()])


@RULES.check("order", "A commit is answered by committed, item.added, item.done", _RECORDED)
async def order(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.configure(**_manual())
        types = (await commit(probe, connection)).types
        wanted = ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"]
        require(types == wanted, " -> ".join(wanted), " -> ".join(types))


@RULES.check("one-item", "committed, added and done are about one item", f"{_COMMIT}; {_RECORDED}")
async def one_item(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.configure(**_manual())
        events = await commit(probe, connection)
        wanted = events.one("input_audio_buffer.committed").get("item_id")
        ids = [event["item"].get("id") for event in events if "item" in event]
        require(wanted and set(ids) == {wanted}, f"the id {wanted}", ids)


@RULES.check("item", "A commit makes a completed user message of one input_audio part, transcript null", _RECORDED)
async def item(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.configure(**_manual())
        made = (await commit(probe, connection)).some("conversation.item.added")[0]["item"]
        got = (made.get("role"), made.get("status"), made.get("content"))
        wanted = ("user", "completed", [{"type": "input_audio", "transcript": None}])
        require(got == wanted, str(wanted), got)


@RULES.check(
    "place",
    "Committed items follow one another in previous_item_id",
    "API reference, server events, input_audio_buffer.committed",
)
async def place(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.configure(**_manual())
        first = (await commit(probe, connection)).one("input_audio_buffer.committed")
        second = (await commit(probe, connection)).one("input_audio_buffer.committed")
        got = (first.get("previous_item_id"), second.get("previous_item_id"))
        require(got == (None, first.get("item_id")), f"null, then {first.get('item_id')}", got)


@RULES.check("no-response", "A commit alone makes no response", f"{_COMMIT}: does not create a response")
async def no_response(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.configure(**_manual())
        events = await commit(probe, connection)
        require(not events.starting("response."), "no response", events.types)


@RULES.check("append-silent", "An append is not answered", f"{_APPEND}: the server will not send a confirmation")
async def append_silent(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.configure(**_manual())
        await append(connection, probe.speech_pcm[: INPUT_HZ * 2])
        types = (await connection.fence()).types
        require(not types, "nothing", types)


@RULES.check(
    "no-events-without-detection",
    "Without turn detection speech is not announced",
    "API reference, the session object, turn_detection",
)
async def no_events_without_detection(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.configure(**_manual())
        await probe.speak(connection)
        types = (await connection.fence()).types
        require(not types, "nothing", types)


@RULES.check(
    "commit-too-small",
    "A commit of less than 100 ms is refused: input_audio_buffer_commit_empty",
    "observed: hosted API",
)
async def commit_too_small(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.configure(**_manual())
        await append(connection, probe.speech_pcm[: INPUT_HZ * 2 * 50 // 1000])
        event = await connection.refusal("input_audio_buffer.commit")
        code = event["error"].get("code")
        require(code == "input_audio_buffer_commit_empty", "input_audio_buffer_commit_empty", repr(code), event)


@RULES.check("clear", "input_audio_buffer.clear is answered by input_audio_buffer.cleared", _CLEAR)
async def clear(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.send("input_audio_buffer.clear")
        await connection.expect("input_audio_buffer.cleared")


@RULES.check("clear-empties", "After a clear there is nothing to commit", _CLEAR)
async def clear_empties(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.configure(**_manual())
        await probe.speak(connection, silence_ms=0)
        await connection.send("input_audio_buffer.clear")
        await connection.expect("input_audio_buffer.cleared")
        await connection.refusal("input_audio_buffer.commit")


@RULES.check("commit-empties", "After a commit there is nothing more to commit", _COMMIT)
async def commit_empties(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.configure(**_manual())
        await commit(probe, connection)
        await connection.refusal("input_audio_buffer.commit")


@RULES.check(
    "answered",
    "response.create after a commit answers what was said",
    "Guide 'Realtime conversations', push to talk",
    Need.SPEECH,
)
async def answered(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.configure(**_manual())
        await commit(probe, connection)
        response = (await connection.respond(output_modalities=["text"]))[-1]["response"]
        got = (response.get("status"), bool(response.get("output")))
        require(got == ("completed", True), "completed, with output", got)


@RULES.check(
    "retrieved",
    "The audio of a committed item can be retrieved, in its whole length",
    "API reference, client events, conversation.item.retrieve",
)
async def retrieved(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.configure(**_manual())
        item_id = (await commit(probe, connection)).one("input_audio_buffer.committed")["item_id"]
        await connection.send("conversation.item.retrieve", item_id=item_id)
        part = (await connection.expect("conversation.item.retrieved"))["item"]["content"][0]
        got, wanted = len(base64.b64decode(part.get("audio") or "")), len(probe.speech_pcm)
        require(abs(got - wanted) < wanted // 10, f"about {wanted} bytes", got)


async def _telephone(format: str, probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.configure(**_manual(format={"type": format}))
        await commit(probe, connection, format)


for _format in ("audio/pcmu", "audio/pcma"):
    RULES.add(
        _format.removeprefix("audio/"),
        f"Input in {_format} is taken",
        "API reference, the session object, audio.input.format",
        functools.partial(_telephone, _format),
    )


# --- transcription -------------------------------------------------------------------------------------------------


async def _transcribed(probe: Probe, connection: Connection) -> Events:
    """The events of a committed sentence, up to its transcript."""
    await connection.configure(**_manual(transcription={"model": "gpt-4o-mini-transcribe", "language": "en"}))
    events = await commit(probe, connection)
    if not events.of(COMPLETED):
        events += await connection.collect(COMPLETED)
    return events


@RULES.check(
    "transcribed", "With transcription on a commit is followed by a transcript of its item", _TRANSCRIBED, Need.SPEECH
)
async def transcribed(probe: Probe) -> None:
    async with probe.connect() as connection:
        events = await _transcribed(probe, connection)
        done = events.one(COMPLETED)
        wanted = events.one("input_audio_buffer.committed").get("item_id")
        got = (done.get("item_id"), done.get("content_index"), bool(done.get("transcript")))
        require(got == (wanted, 0, True), f"{wanted}, content_index 0, some words", got, done)


@RULES.check(
    "transcript-deltas", "Deltas of a transcript, where there are any, add up to it", _TRANSCRIBED, Need.SPEECH
)
async def transcript_deltas(probe: Probe) -> None:
    async with probe.connect() as connection:
        events = await _transcribed(probe, connection)
        deltas = events.of(_DELTA)
        done = events.one(COMPLETED)
        require(not deltas or joined(deltas) == done.get("transcript"), repr(done.get("transcript")), joined(deltas))


@RULES.check(
    "transcription-usage", "A transcript tells its usage, as tokens or as a duration", _TRANSCRIBED, Need.SPEECH
)
async def transcription_usage(probe: Probe) -> None:
    async with probe.connect() as connection:
        used = (await _transcribed(probe, connection)).one(COMPLETED).get("usage")
        kind = used.get("type") if isinstance(used, dict) else None
        require(kind in ("tokens", "duration"), "usage of type tokens or duration", used)


@RULES.check(
    "untranscribed",
    "With transcription off there are no transcription events",
    "API reference, the session object, transcription",
    Need.SPEECH,
)
async def untranscribed(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.configure(**_manual())
        await commit(probe, connection)
        await connection.respond(output_modalities=["text"])
        types = connection.received.starting("conversation.item.input_audio_transcription").types
        require(not types, "none", types)


@RULES.check(
    "transcript-kept", "A retrieved item shows its transcript", _TRANSCRIBED, Need.SPEECH, level=Level.RECOMMENDED
)
async def transcript_kept(probe: Probe) -> None:
    async with probe.connect() as connection:
        done = (await _transcribed(probe, connection)).one(COMPLETED)
        await connection.send("conversation.item.retrieve", item_id=done["item_id"])
        part = (await connection.expect("conversation.item.retrieved"))["item"]["content"][0]
        require(part.get("transcript") == done["transcript"], repr(done["transcript"]), part.get("transcript"))
