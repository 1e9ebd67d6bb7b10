"""Whatever happens in whatever order: the rules that always hold (see ``tests/support/world.py``).

``EXAMPLES_TIMES=20 pytest tests/core/test_invariants.py`` searches further, with other examples each time.
"""

import base64
from typing import Any, Final, get_args

from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.inputs import AudioBudgetChanged, ClientEventReceived, Input, TransportClosed
from antiphon.core.limits import Limits
from antiphon.protocol.client_events import ClientEvent
from antiphon.testing.wire_strategies import client_events
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.llm import LlmCapabilities
from tests.support.play import Play
from tests.support.properties import bounded
from tests.support.session import Driver, config, payload_of, replayed
from tests.support.world import World

SMALL: Final = Limits(
    items=6,
    audio_bytes=400_000,
    manual_buffer_s=2,
    out_of_band_responses=2,
    text_bytes=3_000,
    context_tokens=200,
    output_reserve_tokens=50,
    session_max_s=1_000,
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
            {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
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
TOOLS: Final = st.sampled_from([[], [LOOK], [LOOK, {"type": "function", "name": "go"}], [LOOK, LOOK]])
CHOICE: Final = st.sampled_from(
    ["auto", "none", "required", {"type": "function", "name": "look"}, {"type": "function", "name": "fly"}]
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
    st.tuples(st.just("append"), NUMBER, st.sampled_from([b"", bytes(480), b"x" * 9_601, b"y" * 9_600])),
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
    st.tuples(st.just("truncate"), NUMBER, st.sampled_from([-1, 0, 60, 150, 9_999]), st.sampled_from([0, 0, 0, 1])),
    st.tuples(st.just("delete"), NUMBER),
    st.tuples(st.just("cancel"), st.none() | NUMBER),
    st.tuples(st.just("words"), NUMBER, WORDS | st.none(), FLAG),
    st.tuples(st.just("call"), NUMBER, NUMBER, st.sampled_from(["", "{", '{"a": 1}'])),
    st.tuples(st.just("ended"), NUMBER, st.sampled_from(["length", "tool_calls", "content_filter"]), USAGE),
    st.tuples(st.just("broke"), NUMBER, st.sampled_from([kind.value for kind in EngineErrorKind])),
    st.tuples(st.just("measured"), NUMBER, st.integers(0, 300)),
    st.tuples(st.just("budget"), st.sampled_from([0, 20_000, 400_000])),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 5.0, 40.0, 600.0])),
)
STEP: Final = st.just(("rest",)) | OFTEN | OFTEN | OFTEN | SELDOM
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


SETTINGS: Final[list[dict[str, Any]]] = [
    {},
    {"audio": {"input": {"transcription": {"model": "whisper-1"}}}},
    {"audio": {"input": {"turn_detection": {"type": "server_vad", "interrupt_response": False}}}},
    {"audio": {"input": {"turn_detection": None, "transcription": {"model": "whisper-1"}}}},
    {"output_modalities": ["text"], "tools": [{"type": "function", "name": "look"}]},
]


def world_of(
    kind: str = "realtime", session: dict[str, Any] | None = None, *, audio_in: bool = False, partials: bool = True
) -> World:
    settings = config(kind, session, capabilities=LlmCapabilities(audio_in=audio_in), partials=partials)
    world = World(Driver(settings, SMALL))
    world.driver.open()
    world.settle()
    return world


def finish(world: World, *, abrupt: bool) -> None:
    if not abrupt and not world.closed:
        world.finish()
    if not abrupt and not world.closed and world.driver.settings.session.object == "realtime.session":
        assert_still_answers(world)
    world.driver.do(TransportClosed(clean=not abrupt))
    world.settle()
    assert world.closed
    assert replayed(world.driver) == world.driver.history, "the log does not replay to the same outputs"


def assert_still_answers(world: World) -> None:
    """After whatever happened: a turn with words is answered."""
    driver = world.driver
    driver.do(AudioBudgetChanged(SMALL.audio_bytes))
    world.client("session.update", {"session": {"type": "realtime", "audio": {"input": {"turn_detection": None}}}})
    detection = {"type": "server_vad"}
    world.client("session.update", {"session": {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}})
    driver.silence(320)
    driver.speech(96)
    driver.silence(512)
    world.settle()
    (place,) = world.transcribing
    before = len(world.finished)
    world.words(place, "Hello", final=True)
    (response_id,) = world.generating
    world.ended(response_id)
    assert len(world.finished) == before + 1


def test_a_conversation_keeps_its_rules() -> None:
    played: set[type] = set()

    @bounded(200)
    @given(st.lists(STEP, min_size=20, max_size=50), st.sampled_from(SETTINGS), FLAG, FLAG)
    def conversation(steps: list[Any], session: dict[str, Any], odd: bool, abrupt: bool) -> None:
        world = world_of(session=session, audio_in=odd, partials=not odd)
        play = Play(world)
        for step in steps:
            play.step(*step)
        finish(world, abrupt=abrupt)
        for _, fact in world.driver.log:
            played.add(type(fact.event if isinstance(fact, ClientEventReceived) else fact))

    conversation()
    unplayed = {kind.__name__ for kind in (*get_args(Input), *get_args(ClientEvent))} - {one.__name__ for one in played}
    assert unplayed == {"ClientEventReceived"}, "tests/support/play.py needs steps for these"


@bounded(40)
@given(st.lists(STEP, min_size=10, max_size=40), FLAG)
def test_a_transcription_session_never_responds(steps: list[Any], partials: bool) -> None:
    world = world_of("transcription", partials=partials)
    play = Play(world)
    for step in steps:
        play.step(*step)
    assert not world.responses
    assert not world.finished
    finish(world, abrupt=False)


@bounded(60)
@given(st.lists(BENT | BENT | STEP, min_size=10, max_size=40), FLAG)
def test_events_with_a_wrong_field_are_refused_or_mean_something(steps: list[Any], abrupt: bool) -> None:
    world = world_of()
    play = Play(world)
    for step in steps:
        play.step(*step)
    finish(world, abrupt=abrupt)


@bounded(100)
@given(st.lists(WIRE | WIRE | WIRE | STEP, max_size=16), st.sampled_from(["realtime", "transcription"]))
def test_no_client_event_is_an_exception(steps: list[Any], kind: str) -> None:
    world = world_of(kind)
    play = Play(world)
    for step in steps:
        play.step(*step)
    finish(world, abrupt=True)
