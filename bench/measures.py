"""What is measured. Every measure returns rows of a table."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

import numpy as np

from antiphon.audio.pcm import pcm_to_samples
from bench.client import Client, connected
from bench.processes import instant_server, usage
from tests.support.audio import recording, silence_ms
from tests.support.server import ServerProcess, running_server

__all__ = ["chunks", "embedded", "lag", "memory", "overhead", "voiced_recording"]

Rows = Sequence[Sequence[str]]
_SPEECH = "go_forward.wav"
_QUESTION = "austen_0870.wav"


def _summary(values_ms: Sequence[float]) -> str:
    return f"{statistics.median(values_ms):.1f} ({min(values_ms):.1f} to {max(values_ms):.1f})"


# --- overhead of a turn --------------------------------------------------------------------------------------------


def overhead(turns: int) -> Rows:
    """Last event in to first audio out: scripted engines in the process, and instant ones over HTTP."""
    rows = []
    with running_server(["--engine", "scripted"]) as server:
        rows.append(("text turn, engines in the process", _summary(asyncio.run(_text_turns(server, turns)))))
    heard = ["--engine", "scripted", "--engine", "vad=silero"]
    with running_server(heard) as server:
        rows.append(("spoken turn, engines in the process", _summary(asyncio.run(_spoken_turns(server, turns // 4)))))
    with instant_server() as server:
        rows.append(("text turn, instant engines over HTTP", _summary(asyncio.run(_text_turns(server, turns)))))
        rows.append(
            ("spoken turn, instant engines over HTTP", _summary(asyncio.run(_spoken_turns(server, turns // 4))))
        )
    return rows


async def _text_turns(server: ServerProcess, turns: int) -> list[float]:
    async with connected(server.websocket_url) as client:
        times = [await _text_turn(client) for _ in range(turns + 2)]
    return times[2:]


async def _text_turn(client: Client) -> float:
    content = [{"type": "input_text", "text": "hello"}]
    await client.send(type="conversation.item.create", item={"type": "message", "role": "user", "content": content})
    await client.until("conversation.item.done")
    began = time.perf_counter()
    await client.send(type="response.create")
    first = await client.until("response.output_audio.delta")
    await client.until("response.done")
    return (first - began) * 1000


async def _spoken_turns(server: ServerProcess, turns: int) -> list[float]:
    """Each on a connection of its own: a model that repeats what the user said would pass for its echo in the next."""
    times = []
    for _ in range(turns):
        async with connected(server.websocket_url) as client:
            times.append(await _spoken_turn(client, voiced_recording(_SPEECH), since="stopped"))
    return times


async def _spoken_turn(client: Client, speech: bytes, *, since: str) -> float:
    """To first audio, from ``speech_stopped`` or from the last voiced sample, in ms."""
    async with asyncio.TaskGroup() as tasks:
        spoken = asyncio.get_running_loop().create_future()
        microphone = tasks.create_task(client.microphone(speech, 20, spoken))
        await client.until("input_audio_buffer.speech_started")
        stopped = await client.until("input_audio_buffer.speech_stopped")
        first = await client.until("response.output_audio.delta")
        await client.until("response.done")
        microphone.cancel()
    return (first - (stopped if since == "stopped" else spoken.result())) * 1000


def voiced_recording(name: str) -> bytes:
    """A recording without what follows its last voiced sample."""
    pcm = recording(name)
    loud = np.flatnonzero(np.abs(pcm_to_samples(pcm)) > 0.02)
    return pcm[: 2 * (int(loud[-1]) + 1)]


# --- cost of sessions ----------------------------------------------------------------------------------------------


def chunks(sessions: int, seconds: float) -> Rows:
    """CPU of a session in percent of one core, by chunk size: silent and talking with the real detector and instant
    engines over HTTP, and talking with scripted engines in the process, whose cost is next to nothing."""
    rows = []
    with instant_server("--max-sessions", "128") as real, running_server(["--engine", "scripted"]) as scripted:
        for chunk_ms in (10, 20, 60, 100, 200):
            silent = asyncio.run(_session_cost(real, sessions, chunk_ms, seconds, talking=False))
            talking = asyncio.run(_session_cost(real, sessions, chunk_ms, seconds, talking=True))
            excluded = asyncio.run(_session_cost(scripted, sessions, chunk_ms, seconds, talking=True))
            rows.append((f"{chunk_ms} ms", f"{silent:.2f}", f"{talking:.2f}", f"{excluded:.2f}"))
    return rows


async def _session_cost(server: ServerProcess, sessions: int, chunk_ms: int, seconds: float, *, talking: bool) -> float:
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(server.websocket_url)) for _ in range(sessions)]
        async with asyncio.TaskGroup() as tasks:
            background = [tasks.create_task(client.drain()) for client in clients]
            background += [tasks.create_task(_talk(client, chunk_ms, talking=talking)) for client in clients]
            await asyncio.sleep(1)
            before, began = usage(server.pid), time.monotonic()
            await asyncio.sleep(seconds)
            after, took = usage(server.pid), time.monotonic() - began
            for task in background:
                task.cancel()
    return (after.cpu_s - before.cpu_s) / took / sessions * 100


async def _talk(client: Client, chunk_ms: int, *, talking: bool) -> None:
    if not talking:
        await client.microphone(b"", chunk_ms)
    await client.microphone((recording(_SPEECH) + silence_ms(1000)) * 100, chunk_ms)


# --- memory --------------------------------------------------------------------------------------------------------


def memory(sessions: int) -> Rows:
    """PSS of a process without models, and what a session adds: connected, and while it streams silence."""
    with running_server(["--engine", "scripted", "--max-sessions", str(sessions)]) as server:
        bare = usage(server.pid).pss_mb
        used = asyncio.run(_with_sessions(server, sessions))
    return [
        ("process without models, MB", f"{bare:.1f}"),
        (f"each of {sessions} sessions that stream silence, MB", f"{(used - bare) / sessions:.2f}"),
    ]


async def _with_sessions(server: ServerProcess, sessions: int) -> float:
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(server.websocket_url)) for _ in range(sessions)]
        async with asyncio.TaskGroup() as tasks:
            background = [tasks.create_task(client.microphone(b"", 100)) for client in clients]
            await asyncio.sleep(5)
            used = usage(server.pid).pss_mb
            for task in background:
                task.cancel()
    return used


# --- the embedded models -------------------------------------------------------------------------------------------


def embedded(turns: int, arguments: Sequence[str]) -> Rows:
    """The embedded engines: the first turn of a fresh process against later ones, and where the time goes."""
    with running_server(list(arguments)) as server:
        latencies = asyncio.run(_embedded_turns(server, turns))
        breakdown = [line for line in server.lines if " turn " in line or "turn_finished" in line]
        pss = usage(server.pid).pss_mb
    cold, warm = latencies[0], latencies[1:]
    rows = [
        ("end of speech to first audio, first turn, ms", f"{cold:.0f}"),
        ("end of speech to first audio, later turns, ms", _summary(warm)),
        ("first turn against the median of later ones", f"{cold / statistics.median(warm):.2f}"),
        ("memory of all processes, MB", f"{pss:.0f}"),
    ]
    return [*rows, *(("server's own log of a turn", line.split(" ", 1)[1]) for line in breakdown[-1:])]


async def _embedded_turns(server: ServerProcess, turns: int) -> list[float]:
    speech = voiced_recording(_QUESTION)
    latencies = []
    for _ in range(turns):
        async with connected(server.websocket_url) as client:
            latencies.append(await _spoken_turn(client, speech, since="voiced"))
    return latencies


# --- responsiveness ------------------------------------------------------------------------------------------------


def lag(seconds: float, arguments: Sequence[str]) -> Rows:
    """Round trips of ``session.update`` while the embedded models write and speak for another session."""
    with running_server(list(arguments)) as server:
        idle = asyncio.run(_round_trips(server, seconds, busy=False))
        busy = asyncio.run(_round_trips(server, seconds, busy=True))
    return [
        (name, *(f"{_share(times, share):.1f}" for share in (0.5, 0.99, 1.0)))
        for name, times in (
            ("nobody else there", idle),
            ("while another session is answered", busy),
        )
    ]


def _share(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


async def _round_trips(server: ServerProcess, seconds: float, *, busy: bool) -> list[float]:
    times: list[float] = []
    url = server.websocket_url
    async with connected(url) as client, connected(url) as other, asyncio.TaskGroup() as tasks:
        talker = tasks.create_task(_keep_answering(other)) if busy else None
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            began = time.perf_counter()
            await client.send(type="session.update", session={"type": "realtime"})
            times.append((await client.until("session.updated") - began) * 1000)
            await asyncio.sleep(0.02)
        if talker is not None:
            talker.cancel()
    return times


async def _keep_answering(client: Client) -> None:
    content = [{"type": "input_text", "text": "Tell me a long story about a ship, in at least ten sentences."}]
    while True:
        await client.send(type="conversation.item.create", item={"type": "message", "role": "user", "content": content})
        await client.send(type="response.create")
        await client.until("response.done")
