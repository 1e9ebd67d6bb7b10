"""Whatever happens in whatever order: the rules that always hold (see ``tests/support/world.py``).

``EXAMPLES_TIMES=20 pytest tests/core/test_invariants.py`` searches further, with other examples each time.
"""

from dataclasses import replace
from typing import Any, Final, get_args

from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.config import TurnPolicy
from antiphon.core.inputs import AudioBudgetChanged, ClientEventReceived, Input, TransportClosed
from antiphon.protocol.client_events import ClientEvent
from antiphon.vocabulary.llm import LlmCapabilities
from tests.support.play import Play
from tests.support.properties import bounded
from tests.support.session import Driver, config, replayed
from tests.support.steps import BENT, DRAFT, FLAG, HELD, PACED, SMALL, STEP, WIRE
from tests.support.world import World

SETTINGS: Final[list[dict[str, Any]]] = [
    {},
    {"audio": {"input": {"transcription": {"model": "whisper-1"}}}},
    {"audio": {"input": {"turn_detection": {"type": "server_vad", "interrupt_response": False}}}},
    {"audio": {"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5_000}}}},
    {"audio": {"input": {"turn_detection": None, "transcription": {"model": "whisper-1"}}}},
    {"output_modalities": ["text"], "tools": [{"type": "function", "name": "look"}]},
]
POLICIES: Final = [
    TurnPolicy(),
    TurnPolicy(judges=True, drafts=True, prefills=True, barge_in="considerate"),
]


def world_of(
    kind: str = "realtime",
    session: dict[str, Any] | None = None,
    *,
    audio_in: bool = False,
    partials: bool = True,
    paced: bool = False,
    turns: TurnPolicy | None = None,
) -> World:
    capabilities = LlmCapabilities(audio_in=audio_in)
    settings = config(
        kind, session, capabilities=capabilities, partials=partials, reads_images=partials, paced=paced, turns=turns
    )
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
    world.wait(20)  # whatever the assistant said is no echo any more
    if world.closed:
        return
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

    @bounded(150)
    @given(st.lists(STEP, min_size=20, max_size=50), st.sampled_from(SETTINGS), st.sampled_from(POLICIES), FLAG, FLAG)
    def conversation(steps: list[Any], session: dict[str, Any], turns: TurnPolicy, odd: bool, abrupt: bool) -> None:
        world = world_of(session=session, audio_in=odd, partials=not odd, turns=turns)
        play = Play(world)
        for step in steps:
            play.step(*step)
        finish(world, abrupt=abrupt)
        for _, fact in world.driver.log:
            played.add(type(fact.event if isinstance(fact, ClientEventReceived) else fact))

    conversation()
    unplayed = {kind.__name__ for kind in (*get_args(Input), *get_args(ClientEvent))} - {one.__name__ for one in played}
    assert unplayed == {"ClientEventReceived"}, "tests/support/play.py needs steps for these"


@bounded(150)
@given(
    st.lists(PACED | PACED | STEP, min_size=20, max_size=60), st.sampled_from(SETTINGS), st.sampled_from(POLICIES), FLAG
)
def test_a_call_keeps_its_rules(steps: list[Any], session: dict[str, Any], turns: TurnPolicy, abrupt: bool) -> None:
    world = world_of(session=session, paced=True, turns=turns)
    play = Play(world)
    for step in steps:
        play.step(*step)
    finish(world, abrupt=abrupt)


def test_a_draft_becomes_the_answer_or_leaves_no_trace() -> None:
    ends: set[str] = set()

    @bounded(100)
    @given(st.lists(DRAFT | DRAFT | DRAFT | STEP, min_size=10, max_size=40), st.sampled_from(SETTINGS), FLAG, FLAG)
    def drafted(steps: list[Any], session: dict[str, Any], paced: bool, abrupt: bool) -> None:
        world = world_of(session=session, paced=paced, turns=POLICIES[1])
        play = Play(world)
        for step in steps:
            play.step(*step)
        finish(world, abrupt=abrupt)
        ends.update(world.drafts.ends)

    drafted()
    assert ends == {"adopted", "speech", "changed", "failed", "dropped"}


@bounded(50)
@given(
    st.lists(HELD | HELD | PACED | STEP, min_size=20, max_size=60),
    st.sampled_from(["server_vad", "semantic_vad"]),
    FLAG,
)
def test_speech_over_the_assistants_keeps_the_rules(steps: list[Any], detection: str, paced: bool) -> None:
    policy = replace(POLICIES[1], echo_grace_ms=100)
    session = {"audio": {"input": {"turn_detection": {"type": detection}, "transcription": {"model": "whisper-1"}}}}
    world = world_of(session=session, paced=paced, turns=policy)
    play = Play(world)
    for step in steps:
        play.step(*step)
    finish(world, abrupt=False)


@bounded(40)
@given(st.lists(STEP, min_size=10, max_size=40), FLAG)
def test_a_transcription_session_never_responds(steps: list[Any], partials: bool) -> None:
    world = world_of("transcription", partials=partials, turns=POLICIES[partials])
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
