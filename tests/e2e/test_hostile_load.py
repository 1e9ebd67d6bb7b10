"""A client that asks for much: others stay served, memory stays bounded, nothing is lost without a word."""

import asyncio
import base64
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from websockets.frames import Opcode

from tests.support.audio import tone_ms
from tests.support.server import ServerProcess, running_server
from tests.support.wire_client import (
    append,
    connected,
    frame,
    message,
    metrics,
    raw_socket,
    resident_mib,
    sessions_gone,
    update,
)

pytestmark = pytest.mark.e2e

_LOG = logging.getLogger(__name__)
LARGEST = append("A" * (15 * 2**20))
CLEAR = json.dumps({"type": "input_audio_buffer.clear"})
LAG = 'antiphon_event_loop_lag_seconds_bucket{le="%s"}'

Load = Callable[[ServerProcess], Awaitable[None]]


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with running_server(["--engine", "scripted"]) as process:
        yield process


async def appends(server: ServerProcess, *, detects_turns: bool) -> None:
    detection = {"type": "server_vad"} if detects_turns else None
    async with connected(server) as client:
        await client.send(update(audio={"input": {"turn_detection": detection}}))
        await client.until("session.updated")
        for _ in range(4):
            await client.send(LARGEST)
        await client.send(CLEAR)
        await client.until("input_audio_buffer.cleared")


async def appends_that_are_heard(server: ServerProcess) -> None:
    await appends(server, detects_turns=True)


async def appends_that_are_only_kept(server: ServerProcess) -> None:
    await appends(server, detects_turns=False)


async def four_minutes_of_speech_in_one_append(server: ServerProcess) -> None:
    async with connected(server) as client:
        await client.send(append(base64.b64encode(tone_ms(1_000) * 235).decode()))
        await client.send({"type": "input_audio_buffer.commit"})
        await client.until("input_audio_buffer.committed")


async def large_events_of_all_kinds(server: ServerProcess) -> None:
    head = '{"type":"input_audio_buffer.clear","x":'
    async with connected(server) as client:
        for value in (
            '"' + "\\u00e9" * 2_500_000 + '"',
            '"' + "é" * 7_500_000 + '"',
            "[" + "1," * 49_000 + "1]",
            " " * 15_000_000 + "1",
            "0." + "9" * 15_000_000,
        ):
            await client.send(head + value + "}")
            await client.until("input_audio_buffer.cleared")
        await client.refusal(head + "9" * 15_000_000 + "}")
        await client.refusal(head + '"' + "x" * 15_000_000)


async def twenty_sessions_that_stream(server: ServerProcess) -> None:
    async def stream() -> None:
        async with connected(server) as client:
            await client.send(message("long 100"))
            await client.send({"type": "response.create"})
            while '"response.done"' not in str(await client.socket.recv()):
                pass

    async with asyncio.TaskGroup() as tasks:
        for _ in range(20):
            tasks.create_task(stream())


async def pings_whose_answers_nobody_reads(server: ServerProcess) -> None:
    async with raw_socket(server, upgrade=True) as (_, writer):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                while True:
                    writer.write(frame(b"x" * 125, Opcode.PING) * 1_000)
                    await writer.drain()


async def tiny_frames_of_every_kind(server: ServerProcess) -> None:
    burst = frame(b"{}") * 300 + frame(b"", Opcode.PONG) * 5_000 + frame(b"", Opcode.PING) * 5_000
    async with raw_socket(server, upgrade=True) as (reader, writer):
        writer.write(burst * 2 + frame(b"\x03\xe8", Opcode.CLOSE))
        async with asyncio.timeout(20):
            answer = await reader.read()
    assert answer.count(b'"code":"invalid_event"') == 600


async def an_answer_that_nobody_reads(server: ServerProcess) -> None:
    text = json.dumps(update(instructions="x" * 200_000)).encode()
    before = (await metrics(server))['antiphon_sessions_total{outcome="slow_client"}']
    async with raw_socket(server, upgrade=True) as (reader, writer), asyncio.timeout(20):
        for _ in range(120):
            writer.write(frame(text))
        while (await metrics(server))['antiphon_sessions_total{outcome="slow_client"}'] == before:
            pass
        answer = b""
        while not answer.endswith(b"\x03\xf0slow client: too many events were not read"):
            answer += await reader.read(2**20)


LOADS: tuple[Load, ...] = (
    appends_that_are_heard,
    appends_that_are_only_kept,
    four_minutes_of_speech_in_one_append,
    large_events_of_all_kinds,
    twenty_sessions_that_stream,
    pings_whose_answers_nobody_reads,
    tiny_frames_of_every_kind,
    an_answer_that_nobody_reads,
)


@asynccontextmanager
async def _bystander(server: ServerProcess) -> AsyncIterator[list[float]]:
    """Another client, which updates its session again and again; gives the seconds that each answer took."""
    took_s: list[float] = []

    async def ask_on() -> None:
        while True:
            started_s = time.perf_counter()
            await client.send(update(output_modalities=["text"]))
            await client.until("session.updated")
            took_s.append(time.perf_counter() - started_s)

    async with connected(server) as client, asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(ask_on())
        try:
            yield took_s
        finally:
            asking.cancel()


@pytest.mark.parametrize("load", LOADS, ids=lambda load: load.__name__)
def test_others_are_served_and_memory_is_bounded(server: ServerProcess, load: Load) -> None:
    """The bounds are generous: they tell a server that stands still from one that is busy."""

    async def run() -> None:
        before, before_mib = await metrics(server), resident_mib(server)
        async with _bystander(server) as took_s:
            await load(server)
            after, after_mib = await metrics(server), resident_mib(server)
        late = after[LAG % "+Inf"] - after[LAG % "1"] - before[LAG % "+Inf"] + before[LAG % "1"]
        _LOG.info("round trips %d, longest %.0f ms; %.0f MiB", len(took_s), max(took_s) * 1000, after_mib)
        assert not late, "the event loop stood still for more than a second"
        assert max(took_s) < 5
        assert after_mib - before_mib < 200
        await sessions_gone(server)

    asyncio.run(run())


def test_thousands_of_events_are_paced_and_none_is_lost(server: ServerProcess) -> None:
    events = 4_000

    async def run() -> None:
        async with connected(server) as client:
            started_s = time.perf_counter()
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(_send(client.socket.send, events))
                for _ in range(events):
                    assert json.loads(await client.socket.recv())["type"] == "input_audio_buffer.cleared"
            await sending
            # 2,000 at once, then 1,000 a second.
            assert time.perf_counter() - started_s > 1.5
            await client.assert_works()

    asyncio.run(run())


async def _send(send: Callable[[str], Awaitable[None]], events: int) -> None:
    for _ in range(events):
        await send(CLEAR)


def test_sessions_that_come_and_go_leave_no_memory_behind(server: ServerProcess) -> None:
    async def come_and_go(times: int) -> None:
        for number in range(times):
            async with connected(server) as client:
                if number % 2:
                    await client.send(message("say one\nhang"))
                    await client.send({"type": "response.create"})
                    await client.until("response.created")
                    client.socket.transport.abort()

    async def run() -> None:
        await come_and_go(50)
        before_mib = resident_mib(server)
        await come_and_go(200)
        await sessions_gone(server)
        assert resident_mib(server) - before_mib < 32

    asyncio.run(run())


def test_a_session_keeps_32_mib_of_audio_however_much_it_is_given(server: ServerProcess) -> None:
    part = {"type": "input_audio", "audio": "A" * (8 * 2**20), "transcript": "known"}

    async def run() -> None:
        before_mib = resident_mib(server)
        async with connected(server) as client:
            ids = []
            for _ in range(30):
                await client.send(message(content=[part]))
                ids.append((await client.until("conversation.item.done"))["item"]["id"])
            assert resident_mib(server) - before_mib < 32 + 64
            assert len(ids) == 30
            await client.assert_works()

    asyncio.run(run())
