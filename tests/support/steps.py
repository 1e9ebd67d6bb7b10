"""What can happen to a session, as hypothesis strategies of the steps that ``tests/support/play.py`` plays."""

import base64
from typing import Any, Final

from hypothesis import strategies as st

from antiphon.core.limits import Limits
from antiphon.testing.wire_strategies import client_events
from antiphon.vocabulary.errors import EngineErrorKind
from tests.support.images import TINY
from tests.support.session import payload_of

__all__ = ["BENT", "DRAFT", "FIND", "FLAG", "FREE", "HELD", "PACED", "SMALL", "STEP", "WIRE"]

SMALL: Final = Limits(
    items=6,
    audio_bytes=60_000,
    manual_buffer_s=2,
    out_of_band_responses=2,
    text_bytes=3_000,
    images=3,
    context_tokens=200,
    output_reserve_tokens=50,
    session_max_s=1_000,
    mcp_hosts=("tools.example.com",),
    mcp_servers=2,
    mcp_calls=2,
    mcp_output_bytes=40,
)


def _plain(event: Any) -> dict[str, Any]:
    return payload_of(event)


NUMBER: Final = st.integers(0, 7)
FLAG: Final = st.booleans()
WORDS: Final = st.sampled_from(["", "Hello", "Hello there. ", " How are you?"])
PCM: Final = base64.b64encode(bytes(9_600)).decode()
PARTS: Final = st.lists(
    st.sampled_from(
        [
            {"type": "input_text", "text": "Hi"},
            {"type": "input_audio", "audio": PCM},
            {"type": "input_audio", "audio": PCM, "transcript": "Known"},
            {"type": "input_image", "image_url": TINY["%png"]},
            {"type": "output_text", "text": "Yes"},
        ]
    ),
    max_size=2,
)
FORMAT: Final = st.sampled_from([{"type": "audio/pcm"}, {"type": "audio/pcmu"}, {"type": "audio/pcma"}, None])
DETECTION: Final = st.sampled_from(
    [
        None,
        {"type": "server_vad"},
        {"type": "server_vad", "interrupt_response": False},
        {"type": "server_vad", "create_response": False},
        {"type": "server_vad", "silence_duration_ms": 200, "prefix_padding_ms": 0},
        {"type": "server_vad", "idle_timeout_ms": 5_000},
        {"type": "semantic_vad", "eagerness": "high"},
        {"threshold": 0.4},
    ]
)
TRANSCRIPTION: Final = st.sampled_from(
    [
        None,
        {"model": "whisper-1"},
        {"model": "gpt-4o-transcribe", "language": "de", "prompt": "Names: Ada"},
        {"languages": ["en", "fr"], "keywords": ["antiphon"]},
    ]
)
TRUNCATION: Final = st.sampled_from(
    [
        "auto",
        "disabled",
        {"type": "retention_ratio", "retention_ratio": 0.5},
        {"type": "retention_ratio", "retention_ratio": 0.8, "token_limits": {"post_instructions": 60}},
    ]
)
LOOK: Final = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}
FIND: Final = {"type": "mcp", "server_label": "s", "server_url": "https://tools.example.com"}
FREE: Final = {**FIND, "server_label": "t", "require_approval": "never", "authorization": "key"}
TOOLS: Final = st.sampled_from(
    [
        [],
        [LOOK],
        [LOOK, {"type": "function", "name": "go"}],
        [LOOK, LOOK],
        [LOOK, FIND],
        [FREE],
        [FIND, FREE],
        [{"type": "mcp", "server_label": "t"}],
        [{"type": "mcp", "server_label": "s", "allowed_tools": ["find"], "headers": {"a": "b"}}],
    ]
)
CHOICE: Final = st.sampled_from(
    [
        "auto",
        "none",
        "required",
        {"type": "function", "name": "look"},
        {"type": "function", "name": "fly"},
        {"type": "mcp", "server_label": "t"},
    ]
)
MODALITIES: Final = st.sampled_from([["text"], ["audio"], ["text", "audio"]])
TOKENS: Final = st.sampled_from(["inf", 1, 50, 5_000])
INSTRUCTIONS: Final = st.sampled_from([None, "", "Be brief.", "Say less. " * 60])
AUDIO_IN: Final = st.fixed_dictionaries(
    {},
    optional={
        "turn_detection": DETECTION,
        "transcription": TRANSCRIPTION,
        "format": FORMAT,
        "noise_reduction": st.sampled_from([None, {"type": "near_field"}, {"type": "far_field", "strength": 0.5}]),
    },
)
AUDIO_OUT: Final = st.fixed_dictionaries(
    {}, optional={"voice": st.sampled_from(["ash", "marin"]), "format": FORMAT, "speed": st.sampled_from([0.5, 1, 9])}
)
AUDIO: Final = st.fixed_dictionaries({}, optional={"input": AUDIO_IN, "output": AUDIO_OUT})
SESSION: Final = st.fixed_dictionaries(
    {"type": st.sampled_from(["realtime", "realtime", "realtime", "transcription"])},
    optional={
        "audio": AUDIO,
        "output_modalities": MODALITIES,
        "tools": TOOLS,
        "tool_choice": CHOICE,
        "truncation": TRUNCATION,
        "instructions": INSTRUCTIONS,
        "max_output_tokens": TOKENS,
        "parallel_tool_calls": st.none() | FLAG,
        "include": st.sampled_from([None, ["item.input_audio_transcription.logprobs"]]),
        "tracing": st.sampled_from([None, "auto", {"workflow_name": "test"}]),
        "reasoning": st.sampled_from([None, {"effort": "low"}]),
    },
)
RESPONSE: Final = st.fixed_dictionaries(
    {},
    optional={
        "conversation": st.sampled_from(["auto", "none"]),
        "output_modalities": MODALITIES,
        "metadata": st.sampled_from([None, {"topic": "x"}, {"k" * 65: ""}]),
        "tools": TOOLS,
        "tool_choice": CHOICE,
        "instructions": INSTRUCTIONS,
        "max_output_tokens": TOKENS,
        "audio": st.fixed_dictionaries({}, optional={"output": st.fixed_dictionaries({}, optional={"format": FORMAT})}),
        "input": st.lists(
            st.one_of(
                PARTS.map(lambda parts: {"type": "message", "role": "user", "content": parts}),
                st.sampled_from(["item_1", "mine_1"]).map(lambda item_id: {"type": "item_reference", "id": item_id}),
                st.just({"type": "function_call_output", "call_id": "call_1", "output": "42"}),
            ),
            max_size=2,
        ),
    },
)
USAGE: Final = st.sampled_from([(0, 0, 0), (90, 30, 12)])
OFTEN: Final = st.one_of(
    st.tuples(st.just("respond"), RESPONSE),
    st.tuples(st.just("say"), WORDS, FLAG),
    st.tuples(st.just("say"), WORDS, FLAG),
    st.tuples(st.just("say"), WORDS, FLAG),
    st.tuples(st.just("interrupt"), st.sampled_from([0, 60, 150, 2_000])),
    st.tuples(st.just("turn"), FLAG),
    st.tuples(st.just("words"), NUMBER, WORDS, st.just(True)),
    st.tuples(st.just("image"), NUMBER, WORDS | st.none()),
    st.tuples(st.just("create"), st.just("user"), PARTS, NUMBER, NUMBER),
    st.tuples(st.just("chunk"), st.sampled_from([1, 240, 768, 4_801])),
    st.tuples(st.just("detected"), st.integers(1, 20), st.sampled_from([0.0, 0.3, 0.5, 0.9]), st.just(-25.0)),
)
SELDOM: Final = st.one_of(
    st.tuples(st.just("text"), NUMBER, WORDS | st.just("half \ud83d of a sign")),
    st.tuples(st.just("spoken"), NUMBER, NUMBER, st.sampled_from([40, 200])),
    st.tuples(st.just("ended"), NUMBER, st.just("stop"), USAGE),
    st.tuples(st.just("update"), SESSION),
    st.tuples(st.just("update"), SESSION),
    st.tuples(st.just("audio"), st.integers(1, 6)),
    st.tuples(st.just("sent"), st.sampled_from([0, 480, 9_601, 9_600])),
    st.tuples(st.just("speech"), st.integers(1, 6)),
    st.tuples(st.just("silence"), st.integers(10, 20)),
    st.tuples(st.just("detected"), st.integers(1, 20), st.just(0.9), st.just(-90.0)),
    st.tuples(st.just("skipped"), FLAG),
    st.tuples(st.just("commit")),
    st.tuples(st.just("clear")),
    st.tuples(st.just("clear_output")),
    st.tuples(st.just("create"), st.sampled_from(["user", "system", "assistant"]), PARTS, NUMBER, NUMBER),
    st.tuples(st.just("result"), NUMBER),
    st.tuples(st.just("called"), NUMBER, st.sampled_from(["{}", "", "[1]"])),
    st.tuples(st.just("retrieve"), NUMBER),
    st.tuples(st.just("sideband"), NUMBER),
    st.tuples(st.just("judged"), NUMBER, st.sampled_from([None, 0.0, 0.4, 1.0])),
    st.tuples(st.just("granted"), NUMBER),
    st.tuples(st.just("hypothesis"), NUMBER, WORDS, FLAG, st.sampled_from([0, 0, 70, 500])),
    st.tuples(st.just("control"), FLAG),
    st.tuples(st.just("unasked"), NUMBER),
    st.tuples(st.just("truncate"), NUMBER, st.sampled_from([-1, 0, 60, 150, 9_999]), st.sampled_from([0, 0, 0, 1])),
    st.tuples(st.just("delete"), NUMBER),
    st.tuples(st.just("cancel"), st.none() | NUMBER),
    st.tuples(st.just("words"), NUMBER, WORDS | st.none(), FLAG),
    st.tuples(st.just("image"), NUMBER, WORDS | st.none()),
    st.tuples(st.just("wrote"), NUMBER),
    st.tuples(st.just("call"), NUMBER, NUMBER, st.sampled_from(["", "{", '{"a": 1}'])),
    st.tuples(st.just("found"), NUMBER, st.sampled_from(["{}", '{"a": 1}', "[1]"])),
    st.tuples(st.just("found"), NUMBER, st.sampled_from(["{}", '{"a": 1}', "[1]"])),
    st.tuples(st.just("tools"), FLAG),
    st.tuples(st.just("listed"), NUMBER, FLAG),
    st.tuples(st.just("output"), NUMBER, st.sampled_from(["Found.", "Much. " * 20, None])),
    st.tuples(st.just("approve"), NUMBER, FLAG),
    st.tuples(st.just("ended"), NUMBER, st.sampled_from(["length", "tool_calls", "content_filter"]), USAGE),
    st.tuples(st.just("broke"), NUMBER, st.sampled_from([kind.value for kind in EngineErrorKind])),
    st.tuples(st.just("measured"), NUMBER, st.integers(0, 300)),
    st.tuples(st.just("budget"), st.sampled_from([0, 20_000, 60_000])),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 5.0, 40.0, 600.0])),
)
STEP: Final = st.just(("rest",)) | OFTEN | OFTEN | OFTEN | SELDOM
THEN: Final = st.sampled_from(["over", "over", "on", "item", "fault"])
DRAFT: Final = st.one_of(
    st.tuples(st.just("drafted"), st.sampled_from([2, 4, 9]), st.integers(0, 2), FLAG, THEN),
    st.tuples(st.just("drafted"), st.sampled_from([2, 4, 9]), st.integers(0, 2), FLAG, THEN),
    st.tuples(st.just("silence"), st.integers(10, 40)),
    st.tuples(st.just("silence"), st.integers(1, 4)),
    st.tuples(st.just("speech"), st.integers(1, 3)),
    st.tuples(st.just("judged"), NUMBER, st.sampled_from([None, 0.4, 1.0])),
    st.tuples(st.just("granted"), NUMBER),
    st.tuples(st.just("hypothesis"), NUMBER, WORDS, FLAG, st.sampled_from([0, 0, 70, 500])),
    st.tuples(st.just("words"), NUMBER, st.sampled_from(["Hello", "hello.", "Good bye", ""]), st.just(True)),
    st.tuples(st.just("text"), NUMBER, WORDS),
    st.tuples(st.just("found"), NUMBER, st.sampled_from(["{}", '{"a": 1}'])),
    st.tuples(st.just("wrote"), NUMBER),
    st.tuples(st.just("broke"), NUMBER, st.sampled_from(["failed", "context_overflow"])),
    st.tuples(st.just("update"), st.just({"type": "realtime", "instructions": "Say less."})),
    st.tuples(st.just("create"), st.just("user"), PARTS, NUMBER, NUMBER),
    st.tuples(st.just("delete"), NUMBER),
    st.tuples(st.just("respond"), st.just({})),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 0.5])),
)
PACED: Final = st.one_of(
    st.tuples(st.just("progress"), st.sampled_from([1, 20, 90, 150, 200])),
    st.tuples(st.just("progress"), st.sampled_from([1, 90, 150, 1_000])),
    st.tuples(st.just("talk"), st.sampled_from([0, 50, 190, 230, 400]), FLAG),
    st.tuples(st.just("talk"), st.sampled_from([0, 50, 190, 230, 400]), FLAG),
    st.tuples(st.just("spoken"), NUMBER, NUMBER, st.sampled_from([40, 200])),
    st.tuples(st.just("clear_output")),
    st.tuples(st.just("cancel"), st.none()),
    st.tuples(st.just("interrupt"), st.sampled_from([0, 60, 150, 2_000])),
    st.tuples(st.just("speech"), st.integers(2, 4)),
    st.tuples(st.just("repeated"), NUMBER),
    st.tuples(st.just("respond"), st.just({"conversation": "none"})),
)
HELD: Final = st.one_of(
    st.tuples(st.just("say"), st.just("Hello there, how are you today?"), FLAG),
    st.tuples(st.just("speech"), st.integers(2, 16)),
    st.tuples(st.just("silence"), st.sampled_from([1, 2, 8, 17])),
    st.tuples(st.just("supposed"), st.sampled_from(["", "Stop", "Mm-hmm", "Hello there", "Ye", "(coughs)"]), FLAG),
    st.tuples(st.just("words"), NUMBER, WORDS | st.sampled_from(["Yeah.", "Hello there", None]), st.just(True)),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 0.3])),
)
BENDABLE: Final = st.one_of(
    st.tuples(st.just("update"), SESSION),
    st.tuples(st.just("respond"), RESPONSE),
    st.tuples(st.just("create"), st.sampled_from(["user", "system", "assistant"]), PARTS, NUMBER, NUMBER),
    st.tuples(st.just("called"), NUMBER, st.just("{}")),
    st.tuples(st.just("truncate"), NUMBER, st.just(60), st.just(0)),
    st.tuples(st.just("delete"), NUMBER),
    st.tuples(st.just("cancel"), NUMBER),
)
BENT: Final = st.tuples(
    st.just("bent"),
    BENDABLE,
    st.integers(0, 40),
    st.sampled_from([..., None, "", 0, -1, 1e9, True, [], {}, "item_1", ["audio"], {"type": "server_vad"}]),
)
WIRE: Final = st.tuples(st.just("wire"), client_events().map(_plain), NUMBER)
