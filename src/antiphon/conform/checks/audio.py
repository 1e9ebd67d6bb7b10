"""Answers that are spoken."""

import base64
import binascii
import functools

from antiphon.conform.check import Level, Need, RuleError, Rules, require
from antiphon.conform.connection import Connection, message
from antiphon.conform.events import Events, joined
from antiphon.conform.probe import Probe

__all__ = ["RULES"]

RULES = Rules("audio", "Spoken responses")

_SERVER = "API reference, server events"
_RECORDED = "recorded sessions of the hosted API"
_OBJECT = "API reference, the response object"
_SAID = "say Hello there. This is the answer."
_DELTA = "response.output_audio.delta"
_WORDS = "response.output_audio_transcript.delta"
_FRAME_BYTES = 2**20


async def _spoken(connection: Connection, text: str = _SAID, **response: object) -> Events:
    return await connection.turn(text, **{"output_modalities": ["audio"], **response})


def _decoded(events: Events) -> list[bytes]:
    try:
        return [base64.b64decode(event.get("delta", ""), validate=True) for event in events.some(_DELTA)]
    except (binascii.Error, TypeError, ValueError) as error:
        raise RuleError("base64", str(error)) from error


@RULES.check("order", "The events of a spoken answer come in the recorded order", _RECORDED, Need.VOICE)
async def order(probe: Probe) -> None:
    async with probe.connect() as connection:
        events = await _spoken(connection)
        item_id = str(events.some("response.output_item.added")[0]["item"].get("id"))
        deltas = {_DELTA, _WORDS}
        types = Events(events.about(item_id).without(["conversation.item.done"])).types
        ends = [one for one in types if one not in deltas]
        wanted = [
            "response.output_item.added", "conversation.item.added", "response.content_part.added",
            "response.output_audio.done", "response.output_audio_transcript.done", "response.content_part.done",
            "response.output_item.done",
        ]  # fmt: skip
        # Which of the two comes first is a recommendation: done-order.
        ends[3:5] = sorted(ends[3:5])
        require(ends == wanted, " -> ".join(wanted), " -> ".join(ends))
        inside = types[3 : 3 + len(types) - len(ends)]
        require(set(inside) == deltas, "deltas of both kinds between added and done", " -> ".join(types))


@RULES.check("transcript-first", "The transcript begins before the audio", _RECORDED, Need.VOICE)
async def transcript_first(probe: Probe) -> None:
    async with probe.connect() as connection:
        types = (await _spoken(connection)).types
        for kind in (_DELTA, _WORDS):
            require(kind in types, f"a {kind}", Events().sequence or types[-1])
        require(types.index(_WORDS) < types.index(_DELTA), "transcript, then audio", "audio first")


@RULES.check("default", "A response without output_modalities speaks", f"{_OBJECT}, output_modalities", Need.VOICE)
async def default(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.create(message(_SAID))
        events = await connection.respond()
        require(events.of(_DELTA), _DELTA, events.sequence)
        got = events[-1]["response"].get("output_modalities")
        require(got == ["audio"], "output_modalities ['audio']", got)


@RULES.check("samples", "Each delta is base64 of whole samples", f"{_SERVER}, {_DELTA}", Need.VOICE)
async def samples(probe: Probe) -> None:
    async with probe.connect() as connection:
        sizes = [len(audio) for audio in _decoded(await _spoken(connection))]
        require(all(size and size % 2 == 0 for size in sizes), "an even number of bytes in each", sizes)


@RULES.check(
    "frame-size", "Deltas of a long answer are below 1 MiB each", "observed: some clients close beyond", Need.VOICE
)
async def frame_size(probe: Probe) -> None:
    async with probe.connect() as connection:
        sizes = [len(event.get("delta", "")) for event in (await _spoken(connection, probe.long())).some(_DELTA)]
        require(max(sizes) < _FRAME_BYTES, f"below {_FRAME_BYTES} bytes", max(sizes))


@RULES.check("part-added", "A spoken part begins as type 'audio' with an empty transcript", _RECORDED, Need.VOICE)
async def part_added(probe: Probe) -> None:
    async with probe.connect() as connection:
        part = (await _spoken(connection)).some("response.content_part.added")[0]["part"]
        require(part.get("transcript") == "", "an empty transcript", part)


@RULES.check(
    "transcript-agrees",
    "Deltas, transcript.done, content_part.done and the item hold the same words",
    _SERVER,
    Need.VOICE,
)
async def transcript_agrees(probe: Probe) -> None:
    async with probe.connect() as connection:
        events = await _spoken(connection)
        words = {
            "deltas": joined(events.of(_WORDS)),
            "transcript.done": events.one("response.output_audio_transcript.done").get("transcript"),
            "content_part.done": events.one("response.content_part.done")["part"].get("transcript"),
            "output_item.done": events.one("response.output_item.done")["item"]["content"][0].get("transcript"),
        }
        require(len(set(words.values())) == 1 and words["deltas"], "the same words", words)


@RULES.check("content-type", "The item's speech is of type output_audio, without the audio", _RECORDED, Need.VOICE)
async def content_type(probe: Probe) -> None:
    async with probe.connect() as connection:
        part = (await _spoken(connection)).some("response.output_item.done")[0]["item"]["content"][0]
        got = (part.get("type"), bool(part.get("audio")))
        require(got == ("output_audio", False), "output_audio, no audio", got)


@RULES.check("usage", "A spoken response counts tokens of audio", f"{_OBJECT}, usage.output_token_details", Need.VOICE)
async def usage(probe: Probe) -> None:
    async with probe.connect() as connection:
        used = (await _spoken(connection))[-1]["response"].get("usage") or {}
        details = used.get("output_token_details") or {}
        require(details.get("audio_tokens"), "audio_tokens above 0", used)


@RULES.check("voice", "A response names its voice and format", f"{_OBJECT}, audio.output", Need.VOICE)
async def voice(probe: Probe) -> None:
    async with probe.connect() as connection:
        events = await _spoken(connection, audio={"output": {"voice": "cedar"}})
        for kind in ("response.created", "response.done"):
            shown = (events.one(kind)["response"].get("audio") or {}).get("output") or {}
            got = (shown.get("voice"), (shown.get("format") or {}).get("type"))
            require(got == ("cedar", "audio/pcm"), f"{kind}: cedar, audio/pcm", got)


def _bytes_a_character(events: Events) -> float:
    return sum(map(len, _decoded(events))) / max(1, len(joined(events.of(_WORDS))))


async def _telephone(format: str, probe: Probe) -> None:
    async with probe.connect() as connection:
        pcm = _bytes_a_character(await _spoken(connection))
    async with probe.connect() as connection:
        await connection.configure(audio={"output": {"format": {"type": format}}})
        events = await _spoken(connection)
        shown = ((events[-1]["response"].get("audio") or {}).get("output") or {}).get("format")
        require(isinstance(shown, dict) and shown.get("type") == format, f"audio.output.format {format}", shown)
        ratio = pcm / max(1.0, _bytes_a_character(events))
        # A sixth of the bytes; a model says neither the same words nor in the same time twice.
        low, high = (5.5, 6.5) if probe.target.scripted else (2.0, 18.0)
        require(low < ratio < high, "8 kHz, one byte a sample: a sixth of the bytes of PCM", f"{ratio:.1f} times fewer")


for _format in ("audio/pcmu", "audio/pcma"):
    RULES.add(
        _format.removeprefix("audio/"),
        f"With the output format {_format} an answer comes so",
        "API reference, the session object, audio.output.format",
        functools.partial(_telephone, _format),
        [Need.VOICE],
    )


@RULES.check(
    "format-of-a-response", "A response may have a format of its own", f"{_OBJECT}, audio.output.format", Need.VOICE
)
async def format_of_a_response(probe: Probe) -> None:
    async with probe.connect() as connection:
        events = await _spoken(connection, audio={"output": {"format": {"type": "audio/pcmu"}}})
        shown = ((events[-1]["response"].get("audio") or {}).get("output") or {}).get("format")
        require(isinstance(shown, dict) and shown.get("type") == "audio/pcmu", "audio/pcmu", shown)


@RULES.check(
    "speed",
    "An answer at a higher speed is shorter",
    "API reference, the session object, audio.output.speed",
    Need.VOICE,
    Need.SCRIPT,
)
async def speed(probe: Probe) -> None:
    async with probe.connect() as connection:
        slow = sum(map(len, _decoded(await _spoken(connection))))
        await connection.configure(audio={"output": {"speed": 1.5}})
        fast = sum(map(len, _decoded(await _spoken(connection))))
        require(fast < slow * 0.8, f"well below {slow} bytes", fast)


@RULES.check(
    "beside",
    "A response beside the conversation may speak",
    "Guide 'Realtime conversations', responses outside the conversation",
    Need.VOICE,
)
async def beside(probe: Probe) -> None:
    async with probe.connect() as connection:
        events = await connection.respond(conversation="none", input=[message(_SAID)], output_modalities=["audio"])
        require(events.of(_DELTA), _DELTA, events.sequence)


@RULES.check(
    "done-order", "output_audio.done comes before output_audio_transcript.done", _RECORDED, Need.VOICE,
    level=Level.RECOMMENDED,
)  # fmt: skip
async def done_order(probe: Probe) -> None:
    async with probe.connect() as connection:
        wanted = ["response.output_audio.done", "response.output_audio_transcript.done"]
        got = [one for one in (await _spoken(connection)).types if one in wanted]
        require(got == wanted, "in this order", got)
