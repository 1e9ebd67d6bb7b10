"""``python -m bench.peers --pipecat PYTHON --s2s PYTHON``: antiphon beside Pipecat and speech-to-speech, one after the
other, in about ten minutes. Every one has the same engines behind it, which answer at once over HTTP, its own detector
of speech, and hears the same sentence in real time; so what is left is what it adds.

The two Pythons are those of environments made beforehand:

    python3 -m venv pipecat && pipecat/bin/pip install "pipecat-ai[silero,websocket,openai]==1.14.0" uvicorn
    python3 -m venv s2s && s2s/bin/pip install torch==2.13.0 speech-to-speech silero-vad
    s2s/bin/pip install --no-deps speech-to-speech==1.1.0 && s2s/bin/pip install soxr jsonschema nltk==3.10.3

(beside this torch pip finds an old version of speech-to-speech only, and 1.1.0 is put over it; together 3 GB).
"""

import argparse
import asyncio
import shutil
import statistics
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.client import Client, connected
from bench.measures import voiced_recording
from bench.microphone import Microphone
from bench.processes import free_port, instant_backend, instant_server, usage, wait_for_port

__all__ = ["main"]

_SENTENCE = "cards_005.wav"
"""Its end is clear to every detector of speech."""
_WARM_UP = 2
_ROUND_TRIPS = 40
_LONGEST_S = 15.0
_REST_S = 1.0
_START_S = 240.0
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class _Peer:
    name: str
    detection: dict[str, Any] | None
    """What the session is told; None: it is not told anything, and answers no ``session.update``."""
    python: str = ""
    """Empty: it is antiphon."""
    flags: tuple[str, ...] = ()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pipecat", default="", help="Python of an environment with Pipecat")
    parser.add_argument("--s2s", default="", help="Python of an environment with speech-to-speech")
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=12.0, help="for each figure of CPU")
    parser.add_argument("--only", default="", help="rows whose name holds this text")
    given = parser.parse_args()
    for python in filter(None, (given.pipecat, given.s2s)):
        if shutil.which(python) is None:
            parser.error(f"there is no Python at {python}: {parser.prog} --help says how to make its environment")
    peers = [peer for peer in _peers(given.pipecat, given.s2s) if given.only in peer.name]
    if not peers:
        parser.error(f"no row's name holds {given.only!r}; those of others take --pipecat and --s2s")
    head = ("who", "event there and back: best / median, ms", "turn ended: best / median", "first audio: best / median",
            "from the one to the other", "% of a core, silent", "talking", "MB a session")  # fmt: skip
    _print(head)
    _print(["---"] * len(head))
    for peer in peers:
        with _running(peer, given.sessions) as (url, pid):
            row = asyncio.run(_measured(peer, url, pid, given.turns, given.sessions, given.seconds))
        _print((peer.name, *row))


def _peers(pipecat: str, s2s: str) -> Iterator[_Peer]:
    server_vad = {"type": "server_vad", "silence_duration_ms": 500}
    yield _Peer("antiphon, 500 ms", server_vad)
    if pipecat:
        yield _Peer("Pipecat, 500 ms", None, pipecat, ("peer_pipecat.py", "--turn", "fixed"))
    if s2s:
        off = ("--speculative_reopen_ms", "0", "--unanswered_reopen_ms", "0")
        yield _Peer("speech-to-speech, 500 ms, its hold off", server_vad, s2s, ("peer_s2s.py", *off))
        yield _Peer("speech-to-speech as it comes", server_vad, s2s, ("peer_s2s.py",))
    yield _Peer("antiphon, `semantic_vad`", {"type": "semantic_vad"}, flags=("--engine", "turn_judge=smart_turn"))
    if pipecat:
        yield _Peer("Pipecat, Smart-Turn", None, pipecat, ("peer_pipecat.py", "--turn", "smart"))


def _print(row: Sequence[str]) -> None:
    print("| " + " | ".join(row) + " |", flush=True)


# --- servers -------------------------------------------------------------------------------------------------------


@contextmanager
def _running(peer: _Peer, sessions: int) -> Iterator[tuple[str, int]]:
    """Its address and process."""
    if not peer.python:
        with instant_server("--max-sessions", str(sessions + 2), *peer.flags) as server:
            yield server.websocket_url, server.pid
        return
    script, *flags = peer.flags
    port = free_port()
    with instant_backend() as base_url:
        pipelines = [str(sessions + 1)] if script == "peer_s2s.py" else []
        command = [peer.python, str(_HERE / script), str(port), base_url, *pipelines, *flags]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for_port(port, _START_S)
            yield f"ws://127.0.0.1:{port}/v1/realtime", process.pid
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(15)
            process.kill()
            process.wait()


# --- measuring -----------------------------------------------------------------------------------------------------


async def _measured(peer: _Peer, url: str, pid: int, turns: int, sessions: int, seconds: float) -> list[str]:
    async with _session(peer, url) as client:
        trips = await _round_trips(client) if peer.detection is not None else []
        async with Microphone(client) as microphone:
            taken = [await _turn(client, microphone) for _ in range(turns + _WARM_UP)][_WARM_UP:]
    await asyncio.sleep(_REST_S)
    alone_mb = usage(pid).pss_mb
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(_session(peer, url)) for _ in range(sessions)]
        microphones = [await stack.enter_async_context(Microphone(client, drain=True)) for client in clients]
        silent = await _cpu(pid, seconds) / sessions
        for microphone in microphones:
            microphone.repeat(voiced_recording(_SENTENCE))
        talking = await _cpu(pid, seconds) / sessions
        mb = (usage(pid).pss_mb - alone_mb) / sessions
    known = [turn for turn in taken if turn is not None]
    stopped, audio = [turn[0] for turn in known], [turn[1] for turn in known]
    between = [second - first for first, second in known]
    unanswered = f" ({len(taken) - len(known)} of {len(taken)} unanswered)" if len(known) < len(taken) else ""
    cost = [f"{silent:.1f}", f"{talking:.1f}", f"{mb:.1f}"]
    return [_best(trips, 2), _best(stopped), _best(audio) + unanswered, _best(between, 1), *cost]


def _best(values: Sequence[float], digits: int = 0) -> str:
    return f"{min(values):.{digits}f} / {statistics.median(values):.{digits}f}" if values else ""


@asynccontextmanager
async def _session(peer: _Peer, url: str) -> AsyncIterator[Client]:
    async with connected(url) as client:
        if peer.detection is not None:
            audio = {"input": {"turn_detection": peer.detection}}
            await client.send(type="session.update", session={"type": "realtime", "audio": audio})
            await client.until("session.updated")
        yield client


async def _round_trips(client: Client) -> list[float]:
    trips = []
    for _ in range(_ROUND_TRIPS):
        began = time.perf_counter()
        await client.send(type="session.update", session={"type": "realtime", "instructions": "Be brief."})
        trips.append((await client.until("session.updated") - began) * 1000)
        await asyncio.sleep(0.01)
    return trips


async def _turn(client: Client, microphone: Microphone) -> tuple[float, float] | None:
    """From the last voiced sample: until the turn was ended, and until the first audio. None: there was no answer."""
    stopped: float | None = None
    first: float | None = None
    spoken = microphone.say(voiced_recording(_SENTENCE))
    try:
        async with asyncio.timeout(_LONGEST_S):
            while True:
                at, event = await client.next()
                if event["type"] == "input_audio_buffer.speech_stopped":
                    stopped = at
                elif event["type"] == "response.output_audio.delta" and spoken.done():
                    first = first or at
                elif event["type"] == "response.done" and first is not None:
                    break
    except TimeoutError:
        pass
    await _quiet(client)
    if stopped is None or first is None:
        return None
    return (stopped - spoken.result()) * 1000, (first - spoken.result()) * 1000


async def _quiet(client: Client) -> None:
    """Until nothing has come for a while."""
    with suppress(TimeoutError):
        while True:
            await asyncio.wait_for(client.next(), _REST_S)


async def _cpu(pid: int, seconds: float) -> float:
    """Percent of one core."""
    await asyncio.sleep(_REST_S)
    before, began = usage(pid).cpu_s, time.perf_counter()
    await asyncio.sleep(seconds)
    return (usage(pid).cpu_s - before) / (time.perf_counter() - began) * 100


if __name__ == "__main__":
    main()
