"""A recorded session plays back to the same outputs."""

import asyncio
import json
import stat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.config import SessionConfig, realtime_session
from antiphon.core.inputs import (
    AudioProduced,
    AudioReceived,
    ClientEventReceived,
    ClientEventRefused,
    ControlAttached,
    ControlDetached,
    GenerationEnded,
    Input,
    PlayoutCleared,
    PlayoutEnded,
    PlayoutStarted,
    SpeechProbability,
    TextProduced,
    TranscriptFailed,
    TranscriptProduced,
    TransportClosed,
)
from antiphon.core.limits import Limits
from antiphon.core.outputs import Emit, Output
from antiphon.core.stored_prompts import StoredPrompt
from antiphon.protocol.client_events import ConversationItemCreate
from antiphon.protocol.codec import decode_client_event, encode_server_event
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.session_config import FunctionTool, RealtimeSessionUpdate
from antiphon.runtime.recorder import LogError, RecordedSession, Recorder, Replay, open_recorder
from antiphon.runtime.session_log import Call, Header, Outcome, encode_call, encode_header, read_log
from antiphon.runtime.settings import RuntimeSettings
from antiphon.testing.clock import run_virtual
from antiphon.testing.scripted import ScriptedStt
from antiphon.vocabulary.errors import EngineErrorKind, EngineFault
from antiphon.vocabulary.llm import TokenUsage
from antiphon.vocabulary.speech import SttUsage, Transcript, WordLogprob
from tests.support.audio import tone_ms
from tests.support.play import Play
from tests.support.properties import bounded
from tests.support.runtime import Client, engines_of, serving
from tests.support.session import Driver, Ids, config
from tests.support.steps import FLAG, PACED, SMALL, STEP
from tests.support.world import World


async def _talk(client: Client) -> None:
    """A session with something of everything."""
    client.update(
        instructions="Be brief.",
        audio={"input": {"transcription": {"model": "whisper-1"}}},
        tools=[{"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}],
    )
    await client.speak_turn()
    await client.until("response.done")
    client.ask('call look {"at": "me"}')
    await client.until("response.done", 2)
    client.ask("long 200")
    await client.until("response.output_audio.delta", 20)
    await client.speak(tone_ms(500))
    await client.until("response.done", 3)
    client.send_text("nonsense")
    client.send_text(json.dumps({"type": "conversation.item.delete", "item_id": "nobody", "event_id": "mine"}))
    audio = [{"type": "input_audio", "audio": "AAAA" * 1000}]
    client.say("conversation.item.create", item={"type": "message", "role": "user", "content": audio})
    client.say("response.create", response={"conversation": "none", "metadata": {"a": "b"}})
    await client.until("response.done", 4)
    client.update(audio={"input": {"turn_detection": None}})
    await client.until("session.updated", 2)


def _recorded(directory: Path, *, with_audio: bool, hang_up: bool = True) -> tuple[Path, list[bytes]]:
    """A recorded session's log, and the frames that its client received."""
    settings = RuntimeSettings(record_dir=str(directory), record_audio=with_audio, limits=Limits(session_max_s=120))
    stt = ScriptedStt(["one two", "three four", "five"], delay_s=0.1)

    async def main() -> list[bytes]:
        async with serving(engines_of(stt=stt), settings) as server:
            client = await server.connect()
            await _talk(client)
            if hang_up:
                client.hang_up()
            await server.all_ended()
            return client.frames

    frames = run_virtual(main())
    (path,) = directory.iterdir()
    return path, frames


def _emitted(path: Path) -> list[bytes]:
    outputs = [output for step in Replay(path) for output in step.outputs]
    return [encode_server_event(output.event) for output in outputs if isinstance(output, Emit)]


@pytest.mark.parametrize("hang_up", [True, False], ids=["closed", "expired"])
def test_a_session_recorded_with_its_audio_plays_back_byte_by_byte(tmp_path: Path, hang_up: bool) -> None:
    path, frames = _recorded(tmp_path, with_audio=True, hang_up=hang_up)
    assert len(frames) > 100
    assert _emitted(path) == frames


def test_without_audio_all_else_plays_back_the_same(tmp_path: Path) -> None:
    path, frames = _recorded(tmp_path, with_audio=False)

    def plain(frame: bytes) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(frame)
        if event["type"] == "response.output_audio.delta":
            event["delta"] = len(event["delta"])
        return event

    assert list(map(plain, _emitted(path))) == list(map(plain, frames))
    assert len(path.read_bytes()) < sum(map(len, frames)) / 4


def test_a_log_is_named_by_its_session_and_read_by_its_owner_only(tmp_path: Path) -> None:
    path, frames = _recorded(tmp_path, with_audio=False)
    assert path.name == json.loads(frames[0])["session"]["id"] + ".jsonl"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_log_of_a_process_that_was_killed_plays_back_as_far_as_it_goes(tmp_path: Path) -> None:
    path, frames = _recorded(tmp_path, with_audio=True)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    emitted = _emitted(path)
    assert emitted
    assert emitted == frames[: len(emitted)]


def test_a_session_is_written_while_it_goes_on(tmp_path: Path) -> None:
    settings = RuntimeSettings(record_dir=str(tmp_path), record_audio=True)

    async def main() -> None:
        async with serving(settings=settings) as server:
            client = await server.connect()
            client.ask("say Hello.")
            await client.until("rate_limits.updated")
            await asyncio.sleep(1.5)
            written = await asyncio.to_thread(lambda: _emitted(next(tmp_path.iterdir())))
            assert written == client.frames
            client.hang_up()

    run_virtual(main())


def test_a_call_that_raised_is_in_the_log(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "log.jsonl")
    recorder.begin(_CONFIG, Limits())

    def broken() -> list[Output]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        recorder.call(1.0, TransportClosed(clean=True), broken)
    recorder.close()
    with pytest.raises(LogError, match="the core has changed"):
        list(Replay(tmp_path / "log.jsonl"))  # a log made by hand has no ids
    assert '[1.0,"TransportClosed",{"clean":true},[],[],"raised"]' in (tmp_path / "log.jsonl").read_text()


def test_a_directory_that_cannot_be_written_costs_the_log_and_not_the_session(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = RuntimeSettings(record_dir=str(tmp_path / "missing"))

    async def main() -> None:
        async with serving(settings=settings) as server:
            client = await server.connect()
            client.ask("say Hello.")
            await client.until("response.done")
            client.hang_up()

    run_virtual(main())
    assert "a session is not recorded" in caplog.text


def test_a_disk_that_fails_costs_the_rest_of_the_log_and_not_the_session(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no full device")
    (tmp_path / "sess_1.jsonl").symlink_to(full)
    assert open_recorder(str(tmp_path), "sess_1", with_audio=False) is None, "never through what is there already"

    disk = full.open("wb", buffering=0)

    async def main() -> None:
        recorder = Recorder(tmp_path / "log.jsonl")
        recorder._file.close()
        recorder._file = disk
        recorder.begin(_CONFIG, Limits())
        await recorder.run()
        recorder.call(1.0, None, list)
        recorder.close()

    run_virtual(main())
    assert "ends early" in caplog.text


# --- the format ----------------------------------------------------------------------------------------------------

_CONFIG = SessionConfig(
    realtime_session(id="sess_1", model="m", created_at_unix_s=0, max_s=60),
    0,
    paced=True,
    prompts={
        "p": StoredPrompt("1", {"1": RealtimeSessionUpdate(instructions="Sing.", tools=[FunctionTool(name="f")])})
    },
)


def _event(**fields: Any) -> ClientEventReceived:
    return ClientEventReceived(decode_client_event(json.dumps(fields)).event)


_AUDIO_ITEM = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "AQIDBA=="}]}
_SPOKEN = Transcript("é", is_final=True, language="fr", logprobs=(WordLogprob("é", -0.5),), usage=SttUsage(1, 2, 3))
INPUTS: dict[str, Input] = {
    "audio": AudioReceived(b"\x01\x02"),
    "probability": SpeechProbability(768, 768, 0.1 + 0.2, -41.123456789),
    "transcript": TranscriptProduced("item_1", 0, _SPOKEN),
    "no transcript": TranscriptFailed("item_1", 0, EngineFault(EngineErrorKind.TIMEOUT, True, "late")),
    "half a sign": TextProduced("resp_1", "\ud83d"),
    "speech": AudioProduced("resp_1", b"\xff", 3, 0, 7),
    "end": GenerationEnded("resp_1", "length", TokenUsage(1, 2, 3)),
    "fault": GenerationEnded("resp_1", "stop", TokenUsage(), EngineFault(EngineErrorKind.CONTEXT_OVERFLOW)),
    "item": _event(type="conversation.item.create", item=_AUDIO_ITEM),
    "null": _event(type="session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": None}}}),
    "like bytes": _event(type="response.create", response={"metadata": {"$bytes": "none"}, "tool_choice": "none"}),
    "like marked": _event(type="response.create", response={"metadata": {"$$bytes": "none"}}),
    "not like": _event(type="response.create", response={"metadata": {"bytes": "none"}}),
    "begun": PlayoutStarted("resp_1", "item_1"),
    "left": PlayoutEnded("resp_1", "item_1", 4_800),
    "cut": PlayoutCleared("resp_1", "item_1", 4_800, 150),
    "attached": ControlAttached(1),
    "detached": ControlDetached(1),
    "closed": TransportClosed(clean=True),
}


_NOTHING = Outcome([], "")


def _came_back(call: Call, log: Path) -> Call:
    log.write_bytes(
        encode_header(Header(_CONFIG, Limits(), [], True)) + b"\n" + encode_call(call, with_audio=True) + b"\n"
    )
    header, calls = read_log(log)
    assert header == Header(_CONFIG, Limits(), [], True)
    return next(calls)


@pytest.mark.parametrize("fact", INPUTS.values(), ids=INPUTS.keys())
def test_every_input_comes_back_as_it_was(fact: Input, tmp_path: Path) -> None:
    call = Call(0.1 + 0.7, fact, ["event_1", "event_2"], _NOTHING)
    assert _came_back(call, tmp_path / "log.jsonl") == call


def test_an_error_comes_back_with_all_its_fields(tmp_path: Path) -> None:
    error = ProtocolError("invalid_value", "No.", "a.b", event_id="mine")
    back = _came_back(Call(0.0, ClientEventRefused(error), [], _NOTHING), tmp_path / "log.jsonl").input
    assert isinstance(back, ClientEventRefused)
    assert vars(back.error) == vars(error)


def test_audio_of_items_is_left_out_too() -> None:
    event = decode_client_event(json.dumps({"type": "conversation.item.create", "item": _AUDIO_ITEM})).event
    assert isinstance(event, ConversationItemCreate)
    line = encode_call(Call(0.0, ClientEventReceived(event), [], _NOTHING), with_audio=False)
    assert b'"audio":{"$bytes":4}' in line
    assert b"AQID" not in line


BAD_LOGS = {
    "empty": (b"", "not the recording of a session"),
    "no JSON": (b"hello\n", "not the recording of a session"),
    "other JSON": (b"[1, 2]\n", "not the recording of a session"),
    "another version": (b'{"antiphon_log": 1, "header": {}}\n', "version 1"),
    "no header": (b'{"antiphon_log": 4}\n', "Line 1"),
    "a header of another shape": (b'{"antiphon_log": 4, "header": {"config": 7}}\n', "Line 1"),
}


@pytest.mark.parametrize(("content", "message"), BAD_LOGS.values(), ids=BAD_LOGS.keys())
def test_a_file_that_is_no_log_is_refused_in_so_many_words(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(content)
    with pytest.raises(LogError, match=message):
        list(Replay(path))


def test_a_file_that_is_not_there_is_refused_in_so_many_words(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="cannot be read"):
        list(Replay(tmp_path / "log.jsonl"))


@pytest.mark.parametrize(
    "line", [b"nonsense\n", b"[1]\n", b'[1.0, "Unheard", {}, [], [], ""]\n', b'[1.0, "TextProduced", 7, [], [], ""]\n']
)
def test_a_line_that_is_no_call_is_refused_by_its_number(line: bytes, tmp_path: Path) -> None:
    path, _ = _recorded(tmp_path, with_audio=False)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:4], line, *lines[4:]]))
    with pytest.raises(LogError, match="Line 5 "):
        list(Replay(path))


# --- any session ---------------------------------------------------------------------------------------------------


@bounded(30)
@given(st.lists(PACED | STEP, min_size=10, max_size=40), st.sampled_from(["realtime", "transcription"]), FLAG, FLAG)
def test_whatever_happens_in_a_session_plays_back_the_same_from_its_file(
    steps: list[Any], kind: str, paced: bool, with_audio: bool
) -> None:
    world = World(Driver(config(kind, paced=paced), SMALL))
    world.driver.open()
    world.settle()
    play = Play(world)
    for step in steps:
        play.step(*step)
    with TemporaryDirectory() as directory:
        path = Path(directory) / "log.jsonl"
        outputs = _told_again(world.driver, Recorder(path, with_audio=with_audio))
        played = list(Replay(path))
    assert outputs == world.driver.history, "a session that is recorded is another session"
    assert [(step.now, step.outcome) for step in played] == [(step.now, step.recorded) for step in played]
    assert len(played) == len(world.driver.log)
    if with_audio:
        assert [output for step in played for output in step.outputs] == outputs
        assert [step.input for step in played if not isinstance(step.input, ClientEventRefused)] == [
            fact for _, fact in world.driver.log if not isinstance(fact, ClientEventRefused)
        ]


def _told_again(driver: Driver, recorder: Recorder) -> list[Output]:
    """What a recorded session answers to the same facts."""
    session = RecordedSession(driver.settings, new_id=Ids(), limits=driver.limits, recorder=recorder)
    outputs: list[Output] = []
    for now, fact in driver.log:
        outputs += session.tick(now) if fact is None else session.handle(fact, now)
    recorder.close()
    return outputs
