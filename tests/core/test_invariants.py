"""Whatever happens in whatever order: the rules that always hold (see ``tests/support/world.py``)."""

import base64
from collections.abc import Callable
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.inputs import AudioBudgetChanged, ItemMeasured, TransportClosed
from antiphon.core.limits import Limits
from antiphon.testing.wire_strategies import client_events
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.llm import LlmCapabilities
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
DETECTION: Final = st.sampled_from(
    [
        None,
        {"type": "server_vad"},
        {"type": "server_vad", "interrupt_response": False},
        {"type": "server_vad", "create_response": False},
        {"type": "semantic_vad", "eagerness": "high"},
        {"threshold": 0.4},
    ]
)
SESSION: Final = st.fixed_dictionaries(
    {"type": st.sampled_from(["realtime", "realtime", "realtime", "transcription"])},
    optional={
        "audio": st.fixed_dictionaries(
            {},
            optional={
                "input": st.fixed_dictionaries(
                    {},
                    optional={
                        "turn_detection": DETECTION,
                        "transcription": st.sampled_from([None, {"model": "whisper-1"}]),
                        "format": st.sampled_from([{"type": "audio/pcm"}, {"type": "audio/pcmu"}]),
                    },
                ),
                "output": st.fixed_dictionaries({}, optional={"voice": st.sampled_from(["ash", "marin"])}),
            },
        ),
        "output_modalities": st.sampled_from([["text"], ["audio"]]),
        "tools": st.sampled_from([[], [{"type": "function", "name": "look"}]]),
    },
)
RESPONSE: Final = st.fixed_dictionaries(
    {},
    optional={
        "conversation": st.sampled_from(["auto", "none"]),
        "output_modalities": st.sampled_from([["text"], ["audio"]]),
        "metadata": st.sampled_from([None, {"topic": "x"}, {"k" * 65: ""}]),
        "input": st.lists(
            st.one_of(
                PARTS.map(lambda parts: {"type": "message", "role": "user", "content": parts}),
                st.sampled_from(["item_1", "mine_1"]).map(lambda item_id: {"type": "item_reference", "id": item_id}),
            ),
            max_size=2,
        ),
    },
)
OFTEN: Final = st.one_of(
    st.tuples(st.just("respond"), RESPONSE),
    st.tuples(st.just("say"), WORDS, FLAG),
    st.tuples(st.just("say"), WORDS, FLAG),
    st.tuples(st.just("say"), WORDS, FLAG),
    st.tuples(st.just("interrupt"), st.sampled_from([0, 60, 150, 2_000])),
    st.tuples(st.just("turn"), FLAG),
    st.tuples(st.just("words"), NUMBER, WORDS, st.just(True)),
    st.tuples(st.just("create"), st.just("user"), PARTS, NUMBER, NUMBER),
)
SELDOM: Final = st.one_of(
    st.tuples(st.just("text"), NUMBER, WORDS),
    st.tuples(st.just("spoken"), NUMBER, NUMBER, st.sampled_from([40, 200])),
    st.tuples(st.just("ended"), NUMBER, st.just("stop")),
    st.tuples(st.just("update"), SESSION),
    st.tuples(st.just("audio"), st.integers(1, 6)),
    st.tuples(st.just("speech"), st.integers(1, 6)),
    st.tuples(st.just("silence"), st.integers(10, 20)),
    st.tuples(st.just("commit")),
    st.tuples(st.just("clear")),
    st.tuples(st.just("create"), st.sampled_from(["user", "system", "assistant"]), PARTS, NUMBER, NUMBER),
    st.tuples(st.just("result"), NUMBER),
    st.tuples(st.just("retrieve"), NUMBER),
    st.tuples(st.just("truncate"), NUMBER, st.sampled_from([-1, 0, 60, 150, 9_999]), st.sampled_from([0, 0, 0, 1])),
    st.tuples(st.just("delete"), NUMBER),
    st.tuples(st.just("cancel"), st.none() | NUMBER),
    st.tuples(st.just("words"), NUMBER, WORDS | st.none(), FLAG),
    st.tuples(st.just("call"), NUMBER, NUMBER, st.sampled_from(["", "{", '{"a": 1}'])),
    st.tuples(st.just("ended"), NUMBER, st.sampled_from(["length", "tool_calls", "content_filter"])),
    st.tuples(st.just("broke"), NUMBER, st.sampled_from([kind.value for kind in EngineErrorKind])),
    st.tuples(st.just("measured"), NUMBER, st.integers(0, 300)),
    st.tuples(st.just("budget"), st.sampled_from([0, 20_000, 400_000])),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 5.0, 40.0])),
)
STEP: Final = st.just(("rest",)) | OFTEN | OFTEN | OFTEN | SELDOM


class Play:
    """Turns drawn steps into facts and events about what is there at that moment, now and then about what is not."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.driver = world.driver
        self.call_ids: list[str] = ["call_ghost"]

    def step(self, name: str, *arguments: Any) -> None:
        act: Callable[..., None] = getattr(self, f"_{name}")
        act(*arguments)
        self.world.settle()

    def _rest(self) -> None:
        pass

    # --- the client ------------------------------------------------------------------------------------------------

    def _update(self, session: dict[str, Any]) -> None:
        self.world.client("session.update", {"session": session})

    def _commit(self) -> None:
        self.world.client("input_audio_buffer.commit", {})

    def _clear(self) -> None:
        self.world.client("input_audio_buffer.clear", {})

    def _create(self, role: str, parts: list[Any], number: int, previous: int) -> None:
        item = {"type": "message", "role": role, "content": parts, "id": f"mine_{number}"}
        self.world.client("conversation.item.create", {"item": item, "previous_item_id": self._item(previous, "root")})

    def _result(self, number: int) -> None:
        item = {"type": "function_call_output", "call_id": f"call_{number}", "output": "42"}
        self.world.client("conversation.item.create", {"item": item})

    def _retrieve(self, number: int) -> None:
        self.world.client("conversation.item.retrieve", {"item_id": self._item(number, "ghost")})

    def _truncate(self, number: int, end_ms: int, content_index: int) -> None:
        fields = {"item_id": self._item(number, "ghost"), "content_index": content_index, "audio_end_ms": end_ms}
        self.world.client("conversation.item.truncate", fields)

    def _delete(self, number: int) -> None:
        self.world.client("conversation.item.delete", {"item_id": self._item(number, "ghost")})

    def _respond(self, response: dict[str, Any]) -> None:
        self.world.client("response.create", {"response": response})

    def _cancel(self, number: int | None) -> None:
        self.world.client("response.cancel", {} if number is None else {"response_id": self._response(number)})

    def _interrupt(self, end_ms: int) -> None:
        """What clients do when the user cuts in: truncate what was played last."""
        spoken = [item_id for item_id in self.world.items if item_id in self.world.sent_bytes]
        fields = {"item_id": spoken[-1] if spoken else "ghost", "content_index": 0, "audio_end_ms": end_ms}
        self.world.client("conversation.item.truncate", fields)

    # --- the user and the engines ----------------------------------------------------------------------------------

    def _audio(self, pieces: int) -> None:
        self.driver.audio(100 * pieces)

    def _speech(self, windows: int) -> None:
        self.driver.speech(32 * windows)

    def _silence(self, windows: int) -> None:
        self.driver.silence(32 * windows)

    def _turn(self, heard: bool) -> None:
        self.driver.speech(96)
        self.driver.silence(512)
        self.world.settle()
        if heard and self.world.transcribing:
            self.world.words(list(self.world.transcribing)[-1], "Hello", final=True)

    def _words(self, number: int, text: str | None, final: bool) -> None:
        places = [*self.world.past_places[-4:], *self.world.transcribing]
        if places:
            self.world.words(places[-1 - number % len(places)], text, final=final)

    def _say(self, text: str, last: bool) -> None:
        if not self.world.generating:
            self._respond({})
        response_id = self._generating(0)
        self.driver.text(response_id, text)
        self.driver.spoken(response_id, 200, 0, len(text))
        self.world.settle()
        if last:
            self.world.ended(response_id)

    def _text(self, number: int, text: str) -> None:
        self.driver.text(self._generating(number), text)

    def _call(self, number: int, index: int, arguments: str) -> None:
        self.driver.call(self._generating(number), index % 3, "look", arguments)

    def _spoken(self, number: int, start: int, ms: int) -> None:
        self.driver.spoken(self._generating(number), ms, start, start + 6)

    def _ended(self, number: int, reason: Any) -> None:
        self.world.ended(self._generating(number), reason)

    def _broke(self, number: int, kind: str) -> None:
        self.world.ended(self._generating(number), fault=kind)

    def _measured(self, number: int, tokens: int) -> None:
        self.driver.do(ItemMeasured(self._item(number, "ghost"), tokens))

    def _budget(self, size: int) -> None:
        self.driver.do(AudioBudgetChanged(size))

    def _wait(self, seconds: float) -> None:
        self.driver.now += seconds
        self.driver.tick()

    # --- who is meant ----------------------------------------------------------------------------------------------

    def _item(self, number: int, other: str) -> str:
        return self.world.items[-1 - number] if number < len(self.world.items) else other

    def _response(self, number: int) -> str:
        ids = [*self.world.finished[-1:], *self.world.responses]
        return ids[-1 - number % len(ids)] if ids else "resp_ghost"

    def _generating(self, number: int) -> str:
        ids = sorted(self.world.generating)
        stale = [*self.world.finished[-1:], "resp_ghost"][0]
        return ids[number % len(ids)] if ids and number < 7 else stale


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


@bounded(150)
@given(st.lists(STEP, min_size=20, max_size=50), st.sampled_from(SETTINGS), FLAG, FLAG)
def test_a_conversation_keeps_its_rules(steps: list[Any], session: dict[str, Any], odd: bool, abrupt: bool) -> None:
    world = world_of(session=session, audio_in=odd, partials=not odd)
    play = Play(world)
    for step in steps:
        play.step(*step)
    finish(world, abrupt=abrupt)


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


@bounded(100)
@given(st.lists(client_events(), max_size=12))
def test_no_client_event_is_an_exception(events: list[Any]) -> None:
    world = world_of()
    for event in events:
        fields = payload_of(event)
        world.client(fields.pop("type"), fields)
    finish(world, abrupt=True)
