"""The session object, and what updates do to it."""

import functools
import json
import time
from typing import Any

from antiphon.conform.check import Level, Need, RuleError, Rules, require
from antiphon.conform.connection import message
from antiphon.conform.probe import Probe

__all__ = ["RULES", "VOICES", "value_at"]

RULES = Rules("session", "The session object")

VOICES = ("cedar", "verse")
_OBJECT = "API reference, the session object"
_UPDATE = "API reference, client events, session.update"
_RECORDED = "recorded sessions of the hosted API"
_VAD = "audio.input.turn_detection"
_TRANSCRIPTION = "audio.input.transcription"
_FIELDS = (
    "type", "object", "id", "model", "output_modalities", "instructions", "tools", "tool_choice", "max_output_tokens",
    "tracing", "truncation", "prompt", "expires_at", "audio", "include",
)  # fmt: skip
_ABSENT = "absent"
_TOOL = {
    "type": "function",
    "name": "look",
    "description": "Looks.",
    "parameters": {"type": "object", "properties": {}},
}


def value_at(value: Any, path: str) -> Any:
    """What stands at a dotted path; ``"absent"`` if nothing does."""
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            return _ABSENT
        value = value[name]
    return value


def _matches(got: Any, wanted: Any) -> bool:
    """Equal, where an object may have more fields than are wanted."""
    if isinstance(wanted, dict):
        return isinstance(got, dict) and all(name in got and _matches(got[name], wanted[name]) for name in wanted)
    if isinstance(wanted, list):
        return (
            isinstance(got, list)
            and len(got) == len(wanted)
            and all(_matches(*pair) for pair in zip(got, wanted, strict=True))
        )
    return bool(got == wanted)


def _require_at(session: Any, path: str, wanted: Any) -> None:
    got = value_at(session, path)
    require(_matches(got, wanted), f"session.{path} is {wanted!r}", repr(got))


def _complete(session: Any) -> None:
    missing = [name for name in _FIELDS if name not in session]
    require(not missing, "all fields, null where nothing is set", f"without {', '.join(missing)}")


# --- as it is created ----------------------------------------------------------------------------------------------


@RULES.check(
    "created-first", "The first event of a session is session.created", "API reference, server events, session.created"
)
async def created_first(probe: Probe) -> None:
    async with probe.opened() as connection:
        events = await connection.collect("session.created", errors=True)
        require(len(events) == 1, "session.created first", events.types, events[0])


@RULES.check("created-complete", "session.created shows every field, null where nothing is set", _RECORDED)
async def created_complete(probe: Probe) -> None:
    async with probe.connect() as connection:
        _complete(connection.session)


@RULES.check("expires", "expires_at is a time in the future, at most two hours away", f"{_OBJECT}, expires_at")
async def expires(probe: Probe) -> None:
    async with probe.connect() as connection:
        at, now = connection.session.get("expires_at"), time.time()
        inside = isinstance(at, int) and now < at < now + 7200
        require(inside, f"whole seconds between {now:.0f} and {now + 7200:.0f}", at)


async def _created_with(path: str, wanted: Any, probe: Probe) -> None:
    async with probe.connect() as connection:
        _require_at(connection.session, path, wanted)


_DEFAULTS: tuple[tuple[str, str, Any], ...] = (
    ("type", "type", "realtime"),
    ("object", "object", "realtime.session"),
    ("modalities", "output_modalities", ["audio"]),
    ("tools", "tools", []),
    ("tool-choice", "tool_choice", "auto"),
    ("max-output-tokens", "max_output_tokens", "inf"),
    ("truncation", "truncation", "auto"),
    ("tracing", "tracing", None),
    ("input-format", "audio.input.format", {"type": "audio/pcm", "rate": 24000}),
    ("output-format", "audio.output.format", {"type": "audio/pcm", "rate": 24000}),
    ("transcription", _TRANSCRIPTION, None),
    ("noise-reduction", "audio.input.noise_reduction", None),
    ("turn-detection", f"{_VAD}.type", "server_vad"),
    ("threshold", f"{_VAD}.threshold", 0.5),
    ("prefix-padding", f"{_VAD}.prefix_padding_ms", 300),
    ("create-response", f"{_VAD}.create_response", True),
    ("interrupt-response", f"{_VAD}.interrupt_response", True),
    ("speed", "audio.output.speed", 1.0),
)
for _name, _path, _wanted in _DEFAULTS:
    RULES.add(
        f"default-{_name}",
        f"By default {_path} is {json.dumps(_wanted)}",
        f"{_OBJECT}, {_path}",
        functools.partial(_created_with, _path, _wanted),
    )

# --- updates -------------------------------------------------------------------------------------------------------


@RULES.check("updated", "session.update is answered by session.updated", _UPDATE)
async def updated(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.send("session.update", session={"type": "realtime", "instructions": "Be brief."})
        events = await connection.collect("session.updated")
        require(len(events) == 1, "session.updated and nothing before it", events.types)


@RULES.check("updated-complete", "session.updated shows the whole session, not only what changed", _UPDATE)
async def updated_complete(probe: Probe) -> None:
    async with probe.connect() as connection:
        _complete(await connection.configure(instructions="Be brief."))


@RULES.check("keeps-absent", "Fields that an update leaves out keep their values", _UPDATE)
async def keeps_absent(probe: Probe) -> None:
    async with probe.connect() as connection:
        before = await connection.configure(instructions="Be brief.", max_output_tokens=77)
        after = await connection.configure(tool_choice="none")
        changed = [name for name in before if before[name] != after.get(name) and name != "tool_choice"]
        require(not changed, "only tool_choice changes", f"changed: {changed}")


async def _becomes(update: dict[str, Any], path: str, wanted: Any, probe: Probe) -> None:
    async with probe.connect() as connection:
        _require_at(await connection.configure(**update), path, wanted)


def _input(**fields: Any) -> dict[str, Any]:
    return {"audio": {"input": fields}}


def _output(**fields: Any) -> dict[str, Any]:
    return {"audio": {"output": fields}}


_SEVEN = {
    "type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "create_response": False,
    "interrupt_response": False, "idle_timeout_ms": None,
}  # fmt: skip
_GROUPED = {"workflow_name": "w", "group_id": "g", "metadata": {"k": "v"}}
_RATIO = {"type": "retention_ratio", "retention_ratio": 0.5}
_SETTINGS: tuple[tuple[str, str, dict[str, Any], str, Any], ...] = (
    # name, title, update, path of what is looked at, value there
    ("instructions", "Instructions are taken over", {"instructions": "Häuser über alles."}, "instructions",
     "Häuser über alles."),
    ("modalities", "Text output is taken over", {"output_modalities": ["text"]}, "output_modalities", ["text"]),
    ("tools", "Tools are taken over", {"tools": [_TOOL]}, "tools", [_TOOL]),
    ("tool-choice-none", "tool_choice 'none' is taken over", {"tool_choice": "none"}, "tool_choice", "none"),
    ("tool-choice-required", "tool_choice 'required' is taken over", {"tools": [_TOOL], "tool_choice": "required"},
     "tool_choice", "required"),
    ("tool-choice-function", "A forced function is taken over",
     {"tools": [_TOOL], "tool_choice": {"type": "function", "name": "look"}}, "tool_choice",
     {"type": "function", "name": "look"}),
    ("max-output-tokens", "max_output_tokens takes a number", {"max_output_tokens": 512}, "max_output_tokens", 512),
    ("max-output-inf", "max_output_tokens takes 'inf'", {"max_output_tokens": "inf"}, "max_output_tokens", "inf"),
    ("tracing-auto", "tracing 'auto' is accepted", {"tracing": "auto"}, "tracing", "auto"),
    ("tracing-object", "A tracing object is accepted", {"tracing": _GROUPED}, "tracing", _GROUPED),
    ("tracing-null", "tracing null is accepted", {"tracing": None}, "tracing", None),
    ("truncation-disabled", "truncation 'disabled' is taken over", {"truncation": "disabled"}, "truncation",
     "disabled"),
    ("truncation-ratio", "A retention ratio is taken over", {"truncation": _RATIO}, "truncation", _RATIO),
    ("include", "include is taken over", {"include": ["item.input_audio_transcription.logprobs"]}, "include",
     ["item.input_audio_transcription.logprobs"]),
    ("voice", "A built-in voice is taken over", _output(voice="cedar"), "audio.output.voice", "cedar"),
    ("speed", "speed is taken over", _output(speed=1.25), "audio.output.speed", 1.25),
    ("input-pcmu", "Input may be G.711 u-law", _input(format={"type": "audio/pcmu"}), "audio.input.format.type",
     "audio/pcmu"),
    ("input-pcma", "Input may be G.711 A-law", _input(format={"type": "audio/pcma"}), "audio.input.format.type",
     "audio/pcma"),
    ("output-pcmu", "Output may be G.711 u-law", _output(format={"type": "audio/pcmu"}), "audio.output.format.type",
     "audio/pcmu"),
    ("output-pcma", "Output may be G.711 A-law", _output(format={"type": "audio/pcma"}), "audio.output.format.type",
     "audio/pcma"),
    ("noise-near", "Noise reduction takes near_field", _input(noise_reduction={"type": "near_field"}),
     "audio.input.noise_reduction.type", "near_field"),
    ("noise-far", "Noise reduction takes far_field", _input(noise_reduction={"type": "far_field"}),
     "audio.input.noise_reduction.type", "far_field"),
    ("transcription", "Input transcription is turned on", _input(transcription={"model": "whisper-1"}),
     f"{_TRANSCRIPTION}.model", "whisper-1"),
    ("transcription-nulls", "language and prompt of a transcription are shown as null where they are not set",
     _input(transcription={"model": "whisper-1"}), _TRANSCRIPTION,
     {"model": "whisper-1", "language": None, "prompt": None}),
    ("transcription-language", "Language and prompt of a transcription are taken over",
     _input(transcription={"model": "gpt-4o-transcribe", "language": "en", "prompt": "names"}), _TRANSCRIPTION,
     {"model": "gpt-4o-transcribe", "language": "en", "prompt": "names"}),
    ("turn-detection-off", "turn_detection null turns it off", _input(turn_detection=None), _VAD, None),
    ("turn-detection-filled", "A partial turn_detection is filled with the defaults",
     _input(turn_detection={"type": "server_vad", "create_response": False, "interrupt_response": False}), _VAD,
     _SEVEN),
    ("turn-detection-tuned", "Threshold, padding and silence are taken over",
     _input(turn_detection={"type": "server_vad", "threshold": 0.25, "prefix_padding_ms": 100,
                            "silence_duration_ms": 700}), _VAD,
     {"type": "server_vad", "threshold": 0.25, "prefix_padding_ms": 100, "silence_duration_ms": 700,
      "create_response": True}),
    ("idle-timeout", "idle_timeout_ms is taken over",
     _input(turn_detection={"type": "server_vad", "idle_timeout_ms": 6000}), f"{_VAD}.idle_timeout_ms", 6000),
    ("semantic-vad", "semantic_vad is filled with its defaults", _input(turn_detection={"type": "semantic_vad"}), _VAD,
     {"type": "semantic_vad", "eagerness": "auto", "create_response": True, "interrupt_response": True}),
    ("eagerness", "The eagerness of semantic_vad is taken over",
     _input(turn_detection={"type": "semantic_vad", "eagerness": "high"}), f"{_VAD}.eagerness", "high"),
    ("deep-merge", "A change of the input's format leaves turn detection alone",
     _input(format={"type": "audio/pcmu"}), f"{_VAD}.type", "server_vad"),
    ("merge-sides", "A change of the output leaves the input alone", _output(speed=1.1), "audio.input.format.type",
     "audio/pcm"),
)  # fmt: skip
_EVIDENCE = {
    "turn-detection-filled": f"{_RECORDED}; the Agents SDKs read interrupt_response back",
    "transcription-nulls": _RECORDED,
    "tracing-auto": f"{_UPDATE}; the Agents SDKs send it at once",
}
for _name, _title, _sent, _path, _wanted in _SETTINGS:
    RULES.add(
        f"set-{_name}",
        _title,
        _EVIDENCE.get(_name, f"{_UPDATE}, {_path}"),
        functools.partial(_becomes, _sent, _path, _wanted),
    )


async def _clears(first: dict[str, Any], then: dict[str, Any], path: str, wanted: Any, probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.configure(**first)
        _require_at(await connection.configure(**then), path, wanted)


_CLEARINGS: tuple[tuple[str, str, dict[str, Any], dict[str, Any], str, Any], ...] = (
    ("instructions", "An empty string clears the instructions", {"instructions": "Be brief."}, {"instructions": ""},
     "instructions", ""),
    ("tools", "An empty list clears the tools", {"tools": [_TOOL]}, {"tools": []}, "tools", []),
    ("transcription", "null turns transcription off", _input(transcription={"model": "whisper-1"}),
     _input(transcription=None), _TRANSCRIPTION, None),
    ("turn-detection", "null turns turn detection off", _input(turn_detection={"type": "semantic_vad"}),
     _input(turn_detection=None), _VAD, None),
    ("noise-reduction", "null turns noise reduction off", _input(noise_reduction={"type": "far_field"}),
     _input(noise_reduction=None), "audio.input.noise_reduction", None),
)  # fmt: skip
for _name, _title, _first, _then, _path, _wanted in _CLEARINGS:
    RULES.add(
        f"clear-{_name}",
        _title,
        f'{_UPDATE}: "", [] and null clear a field',
        functools.partial(_clears, _first, _then, _path, _wanted),
    )


@RULES.check("id-stays", "id, object and model are the same after an update", _RECORDED)
async def id_stays(probe: Probe) -> None:
    async with probe.connect() as connection:
        after = await connection.configure(instructions="Be brief.")
        for name in ("id", "object", "model"):
            want, got = connection.session.get(name), after.get(name)
            require(got == want, f"{name} {want!r}", repr(got))


@RULES.check("same-model", "An update may repeat the model", "observed: Agents SDKs, LiveKit and Pipecat send it")
async def same_model(probe: Probe) -> None:
    async with probe.connect() as connection:
        after = await connection.configure(model=connection.session["model"])
        require(after.get("model") == connection.session["model"], "the same model", after.get("model"))


@RULES.check("update-repeats-all", "An update may repeat what session.created showed", _UPDATE)
async def update_repeats_all(probe: Probe) -> None:
    async with probe.connect() as connection:
        left_out = ("type", "id", "object", "expires_at", "client_secret")
        sent = {name: value for name, value in connection.session.items() if name not in left_out}
        after = await connection.configure(**sent)
        changed = [name for name, value in sent.items() if after.get(name) != value]
        require(not changed, "nothing changes", f"changed: {changed}")


@RULES.check("type-stays", "A session of one type does not become one of the other", f"{_UPDATE}, session.type")
async def type_stays(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.refusal("session.update", session={"type": "transcription"})


@RULES.check("refused-whole", "An update with one bad field changes nothing", _UPDATE, level=Level.RECOMMENDED)
async def refused_whole(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.refusal(
            "session.update", session={"type": "realtime", "instructions": "Never seen.", "max_output_tokens": "many"}
        )
        after = await connection.configure()
        want = connection.session.get("instructions")
        require(after.get("instructions") == want, "the instructions as before", after.get("instructions"))


@RULES.check(
    "voice-frozen",
    "The voice cannot change after the assistant has spoken: cannot_update_voice",
    f"{_UPDATE}; observed: hosted API",
    Need.VOICE,
)
async def voice_frozen(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.configure(**_output(voice=VOICES[0]))
        await connection.turn("say Hello.", output_modalities=["audio"])
        event = await connection.refusal("session.update", session={"type": "realtime", **_output(voice=VOICES[1])})
        code = event["error"].get("code")
        require(code == "cannot_update_voice", "the code cannot_update_voice", repr(code), event)


@RULES.check("voice-repeated", "After the assistant has spoken an update may repeat the voice", _UPDATE, Need.VOICE)
async def voice_repeated(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.configure(**_output(voice=VOICES[0]))
        await connection.turn("say Hello.", output_modalities=["audio"])
        await connection.configure(**_output(voice=VOICES[0]))


@RULES.check("between-turns", "An update between turns applies to the next response", _UPDATE)
async def between_turns(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.configure(output_modalities=["text"], max_output_tokens=256)
        await connection.create(message("say Hello."))
        response = (await connection.respond())[-1]["response"]
        got = (response.get("output_modalities"), response.get("max_output_tokens"))
        if got != (["text"], 256):
            raise RuleError("a response of text, of at most 256 tokens", got)
