"""Several connections of one session: each is told all that concerns it, and none can end another."""

import asyncio
import gc
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from antiphon.core.limits import Limits
from antiphon.runtime.connection import MOST_FURTHER, Connection
from antiphon.runtime.listener import Listener
from antiphon.runtime.orchestrator import Orchestrator
from antiphon.runtime.settings import RuntimeSettings
from antiphon.runtime.transport import TransportClosedError
from antiphon.testing.clock import run_virtual
from antiphon.testing.scripted import ScriptedStt
from tests.support.call import Call
from tests.support.runtime import Client, Noted, Server, engines_of, serving

SMALL = RuntimeSettings(outbox_bytes=64 * 1024)
PROMPT = [{"type": "input_text", "text": "say Hello."}]


def _run(scenario: Callable[[Server], Awaitable[None]], settings: RuntimeSettings | None = None) -> Noted:
    """No task may be left behind, nor may there be a fault of ours."""
    observer = Noted()

    async def main() -> None:
        async with serving(settings=settings, observer=observer) as server:
            await scenario(server)

    run_virtual(main())
    assert observer.faults == []
    return observer


# --- what they are told --------------------------------------------------------------------------------------------


def test_a_sideband_is_told_of_everything_from_then_on_and_never_of_the_beginning() -> None:
    async def scenario(server: Server) -> None:
        client = await server.connect()
        sideband = await server.attach()
        client.ask("say Hello.")
        await sideband.until("rate_limits.updated")
        await client.until("rate_limits.updated")
        assert sideband.events == client.events[1:]
        assert client.types()[0] == "session.created"

    _run(scenario)


def test_what_a_sideband_asks_for_is_done_and_told_to_all() -> None:
    async def scenario(server: Server) -> None:
        client = await server.connect()
        first, second = await server.attach(), await server.attach()
        first.update(instructions="Be brief.")
        second.ask("say Hello.")
        for one in (client, first, second):
            assert (await one.until("session.updated"))["session"]["instructions"] == "Be brief."
            assert (await one.until("response.done"))["response"]["status"] == "completed"

    _run(scenario)


@pytest.mark.parametrize("guilty", [0, 1, 2])
@pytest.mark.parametrize(
    "frame", ["nonsense", b"binary", json.dumps({"type": "conversation.item.delete", "item_id": "nobody"})]
)
def test_only_the_connection_that_caused_an_error_is_told_of_it(guilty: int, frame: str | bytes) -> None:
    async def scenario(server: Server) -> None:
        clients = [await server.connect(), await server.attach(), await server.attach()]
        clients[guilty].send_text(frame)
        await clients[guilty].until("error")
        clients[0].update(instructions="Be brief.")
        for client in clients:
            await client.until("session.updated")
        assert [len(client.of_type("error")) for client in clients] == [int(n == guilty) for n in range(3)]

    _run(scenario)


def test_the_error_of_a_sideband_that_is_gone_is_told_to_nobody() -> None:
    async def scenario(server: Server) -> None:
        client = await server.connect()
        sideband = await server.attach()
        sideband.ask("call look {}")
        sideband.say("response.create")
        sideband.hang_up()
        await client.until("response.done")
        await asyncio.wait(server.sidebands)
        assert client.of_type("error") == []

    _run(scenario)


def test_each_connection_is_spoken_to_in_its_own_language_and_an_event_is_encoded_once_for_all_of_one() -> None:
    async def scenario(server: Server) -> None:
        client = await server.connect()
        plain, beta = await server.attach(), await server.attach(Beta(), beta=True)
        client.ask("say Hello.")
        beta.send_text(json.dumps({"type": "session.update", "session": {"instructions": "Be brief."}}))
        for one in (client, plain):
            await one.until("session.updated")
            await one.until("rate_limits.updated")
        assert len(plain.frames) > 10
        assert all(frame is same for frame, same in zip(client.frames[1:], plain.frames, strict=True))
        await beta.until("response.done")
        assert {"response.audio.delta", "conversation.item.created"} <= set(beta.types())
        assert not {"response.output_audio.delta", "conversation.item.added"} & set(beta.types())

    _run(scenario)


class Beta(Client):
    """Its events are not today's."""

    async def send(self, frames: Any) -> None:
        self.events += [json.loads(frame) for frame in frames]
        self._news.set()


# --- how they end --------------------------------------------------------------------------------------------------


def test_a_sideband_that_does_not_read_ends_alone() -> None:
    async def scenario(server: Server) -> None:
        client = await server.connect()
        slow, other = await server.attach(), await server.attach()
        slow.reading.clear()
        client.ask("long 100")
        assert await slow.until_closed() == (1008, "slow client: too many events were not read")
        for one in (client, other):
            assert (await one.until("response.done"))["response"]["status"] == "completed"
        assert server.sidebands[0].done()
        assert not server.sidebands[1].done()

    assert [summary.outcome for summary in _run(scenario, SMALL).ended] == ["shutdown"]


@pytest.mark.parametrize("clean", [True, False])
def test_a_sideband_that_goes_ends_alone(clean: bool) -> None:
    async def scenario(server: Server) -> None:
        client = await server.connect()
        sideband = await server.attach()
        sideband.ask("long 100")
        await client.until("response.created")
        sideband.hang_up(clean=clean)
        await asyncio.wait(server.sidebands)
        assert (await client.until("response.done"))["response"]["status"] == "completed"
        client.hang_up()

    assert [summary.outcome for summary in _run(scenario).ended] == ["closed"]


def test_a_sideband_found_dead_on_writing_ends_alone() -> None:
    class Dead(Client):
        async def send(self, frames: Any) -> None:
            raise TransportClosedError(clean=False)

    async def scenario(server: Server) -> None:
        client = await server.connect()
        await server.attach(Dead())
        client.ask("say Hello.")
        await asyncio.wait(server.sidebands)
        await client.until("response.done")
        client.hang_up()

    assert [summary.outcome for summary in _run(scenario).ended] == ["closed"]


def test_a_defect_of_a_sideband_ends_it_alone() -> None:
    class Broken(Client):
        async def receive(self) -> str | bytes:
            raise ZeroDivisionError("a bug")

    observer = Noted()

    async def main() -> None:
        async with serving(observer=observer) as server:
            client = await server.connect()
            sideband = await server.attach(Broken())
            assert await sideband.until_closed() == (1011, "server_error.server_error")
            client.ask("say Hello.")
            await client.until("response.done")
            client.hang_up()

    run_virtual(main())
    assert [type(fault) for fault in observer.faults] == [ZeroDivisionError]
    assert [summary.outcome for summary in observer.ended] == ["closed"]


def test_who_attached_may_be_cancelled_and_the_session_goes_on() -> None:
    async def scenario(server: Server) -> None:
        client = await server.connect()
        await server.attach()
        server.sidebands[0].cancel()
        await asyncio.wait(server.sidebands)
        client.ask("say Hello.")
        await client.until("response.done")
        assert server.handles[0].has_room

    _run(scenario)


async def _hang_up(server: Server, client: Client) -> None:
    client.hang_up()


async def _end(server: Server, client: Client) -> None:
    server.handles[0].end(1000, "The application has hung up.")


async def _drain(server: Server, client: Client) -> None:
    await server.sessions.drain(0)


async def _expire(server: Server, client: Client) -> None:
    await asyncio.sleep(3600)


@pytest.mark.parametrize(
    ("end", "code", "outcome"),
    [(_hang_up, 1000, "closed"), (_end, 1000, "closed"), (_drain, 1001, "shutdown"), (_expire, 1001, "expired")],
)
def test_the_end_of_the_session_ends_its_sidebands_with_its_code(
    end: Callable[[Server, Client], Awaitable[None]], code: int, outcome: str
) -> None:
    async def scenario(server: Server) -> None:
        client = await server.connect()
        sidebands = [await server.attach() for _ in range(3)]
        client.ask("say Well.\nhang")
        await client.until("response.output_audio_transcript.delta")
        await end(server, client)
        await server.all_ended()
        assert all(task.done() for task in server.sidebands), "the session is over only once they are"
        for one in (client, *sidebands):
            assert one.closed is not None
            assert one.closed == sidebands[0].closed
            assert one.closed[0] == code
            assert "response.output_audio_transcript.delta" in one.types(), "what was said so far is still sent"

    assert [summary.outcome for summary in _run(scenario).ended] == [outcome]


def test_a_defect_of_the_session_is_told_to_all_its_connections() -> None:
    observer = Noted()

    class Nonsense(ScriptedStt):
        async def transcribe(self, *_: Any, **__: Any) -> Any:
            yield "text that is no transcript"

    async def main() -> None:
        async with serving(engines_of(stt=Nonsense()), observer=observer) as server:
            client = await server.connect()
            sideband = await server.attach()
            await client.speak_turn()
            for one in (client, sideband):
                assert await one.until_closed() == (1011, "server_error.server_error")
                assert one.events[-1]["error"]["code"] == "server_error"

    run_virtual(main())
    assert [summary.outcome for summary in observer.ended] == ["failed"]


def test_a_sideband_that_does_not_read_keeps_the_end_of_its_session_waiting_for_seconds_only() -> None:
    async def scenario(server: Server) -> None:
        client = await server.connect()
        sideband = await server.attach()
        sideband.reading.clear()
        client.ask("say Hello.")
        await client.until("response.done")
        begun = asyncio.get_running_loop().time()
        client.hang_up()
        await server.all_ended()
        assert asyncio.get_running_loop().time() - begun <= 10
        assert sideband.closed == (1000, "")

    _run(scenario)


# --- how many there may be -----------------------------------------------------------------------------------------


def test_a_session_has_room_for_so_many_and_for_more_once_one_has_gone() -> None:
    async def scenario(server: Server) -> None:
        client = await server.connect()
        sidebands = []
        for _ in range(MOST_FURTHER):
            assert server.handles[0].has_room
            sidebands.append(await server.attach())
        assert not server.handles[0].has_room
        refused = await server.attach()
        assert refused.closed == (1013, "This session has 8 further connections already.")
        assert server.sidebands[-1].done()
        sidebands[3].hang_up()
        await asyncio.wait([server.sidebands[3]])
        assert server.handles[0].has_room
        late = await server.attach()
        client.ask("say Hello.")
        await late.until("response.done")

    _run(scenario)


@pytest.mark.parametrize("when", ["as it ends", "after its end"])
def test_who_comes_when_the_session_is_over_is_closed_as_it_was(when: str) -> None:
    async def scenario(server: Server) -> None:
        client = await server.connect()
        handle = server.handles[0]
        assert handle.active
        handle.end(1000, "The application has hung up.")
        assert not handle.active
        assert not handle.has_room
        if when == "after its end":
            await server.all_ended()
        late = await server.attach()
        await asyncio.wait(server.sidebands)
        await server.all_ended()
        assert late.closed == client.closed == (1000, "The application has hung up.")
        handle.end(1001, "again")

    _run(scenario)


def test_a_handle_names_its_session() -> None:
    async def scenario(server: Server) -> None:
        client = await server.connect()
        assert server.handles[0].id == client.events[0]["session"]["id"]

    _run(scenario)


def test_nothing_is_kept_of_sessions_and_connections_that_are_over() -> None:
    async def one(server: Server, number: int) -> None:
        call = await server.connect(Call())
        sideband = await server.attach(session=number)
        await server.attach(session=number)
        call.ask("say Hello.")
        await call.until("response.done")
        sideband.hang_up(clean=False)
        call.hang_up(clean=number % 2 == 0)

    async def scenario(server: Server) -> None:
        for number in range(20):
            await one(server, number)
        await server.all_ended()
        for kept in (server.handles, server.tasks, server.sidebands):
            kept.clear()
        gc.collect()
        kinds = (Orchestrator, Connection, Listener)
        assert [kept for kept in gc.get_objects() if type(kept) in kinds] == []

    _run(scenario)


# --- uploads -------------------------------------------------------------------------------------------------------


class Upload(Client):
    """A connection that says one thing, and goes once it is answered."""

    def __init__(self, event: dict[str, Any]) -> None:
        super().__init__()
        self.say(**event)

    async def send(self, frames: Any) -> None:
        await super().send(frames)
        if {"conversation.item.added", "error"} & set(self.types()):
            self.hang_up()


@pytest.mark.parametrize("role", ["user", "nobody"])
def test_an_item_may_be_uploaded_by_a_connection_of_its_own(role: str) -> None:
    async def scenario(server: Server) -> None:
        client = await server.connect()
        item = {"type": "message", "role": role, "content": PROMPT}
        upload = await server.attach(Upload({"type": "conversation.item.create", "item": item}))
        await asyncio.wait(server.sidebands)
        if role == "user":
            assert upload.of_type("conversation.item.added") == [await client.until("conversation.item.added")]
            client.say("response.create")
            assert "Hello" in str(await client.until("response.done"))
        else:
            assert len(upload.of_type("error")) == 1
            assert client.types() == ["session.created"]

    _run(scenario)


# --- control of a call ---------------------------------------------------------------------------------------------


def test_a_call_without_channel_and_sideband_is_over_after_30_s() -> None:
    async def scenario(server: Server) -> None:
        call = await server.connect(Call(opened=False), ready=False)
        assert (await call.until_closed())[0] == 1008
        assert asyncio.get_running_loop().time() == pytest.approx(30, abs=0.1)
        await server.all_ended()

    assert [summary.outcome for summary in _run(scenario).ended] == ["lost"]


@pytest.mark.parametrize("control", ["channel", "sideband", "a sideband that has gone"])
def test_a_call_that_was_ever_under_control_goes_on(control: str) -> None:
    async def scenario(server: Server) -> None:
        call = await server.connect(Call(opened=False), ready=False)
        await asyncio.sleep(29)
        if control == "channel":
            assert isinstance(call, Call)
            call.opened.set()
        else:
            sideband = await server.attach()
            if "gone" in control:
                sideband.hang_up()
        await asyncio.sleep(600)
        assert call.closed is None
        assert server.handles[0].active
        call.hang_up()
        await server.all_ended()

    assert [summary.outcome for summary in _run(scenario).ended] == ["closed"]


def test_a_websocket_needs_no_such_control() -> None:
    async def scenario(server: Server) -> None:
        client = Client()
        client.reading.clear()
        await server.connect(client, ready=False)
        await asyncio.sleep(600)
        assert client.closed is None

    _run(scenario)


def test_what_is_kept_for_a_channel_that_never_opens_is_bounded_and_ends_nothing() -> None:
    async def scenario(server: Server) -> None:
        call = Call(opened=False)
        await server.connect(call, ready=False)
        sideband = await server.attach()
        for number in range(100):
            sideband.update(instructions="x" * 4000)
            await sideband.until("session.updated", number + 1)
        assert server.handles[0].active
        call.opened.set()
        sideband.say("input_audio_buffer.clear")
        await call.until("input_audio_buffer.cleared")
        assert call.types()[0] == "session.created"
        assert 0 < len(call.of_type("session.updated")) < 100
        assert sum(map(len, call.frames)) < 2 * SMALL.outbox_bytes

    _run(scenario, SMALL)


def test_what_happened_before_the_channel_opened_is_told_in_order() -> None:
    async def scenario(server: Server) -> None:
        call = Call(opened=False)
        await server.connect(call, ready=False)
        sideband = await server.attach()
        sideband.update(instructions="Be brief.")
        await sideband.until("session.updated")
        call.opened.set()
        await call.until("session.updated")
        assert call.types() == ["session.created", "session.updated"]
        assert call.events[0]["session"]["instructions"] != "Be brief."

    _run(scenario)


@pytest.mark.parametrize("settings", [RuntimeSettings(limits=Limits(session_max_s=20))])
def test_a_call_may_expire_before_its_channel_opened(settings: RuntimeSettings) -> None:
    async def scenario(server: Server) -> None:
        call = await server.connect(Call(opened=False), ready=False)
        assert (await call.until_closed())[0] == 1001

    assert [summary.outcome for summary in _run(scenario, settings).ended] == ["expired"]
