"""Many sessions on one core: what each costs, whether the server keeps up, and what each takes of memory."""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from antiphon.audio.pcm import pcm_to_samples, samples_to_pcm
from bench.crowd import Member, crowd, stream, wire_frames
from bench.processes import usage
from tests.support.audio import recording, silence_ms
from tests.support.server import ServerProcess, running_server

__all__ = ["density", "noise", "one_core_server"]

_CHUNK_MS = 20
_HZ = 24_000
_TALK = "go_forward.wav"
_SETTLED_S = 4.0
"""Until connections are made and a gate has learned the room's noise."""


def noise(colour: str, dbfs: float, seconds: float, seed: int = 7) -> bytes:
    """White or pink noise of that level."""
    white = np.random.default_rng(seed).standard_normal(int(seconds * _HZ))
    if colour == "pink":
        spectrum = np.fft.rfft(white)
        hz = np.maximum(np.fft.rfftfreq(len(white), 1 / _HZ), 20.0)
        white = np.fft.irfft(spectrum / np.sqrt(hz), len(white))
    samples: NDArray[np.float64] = white / np.sqrt(np.mean(np.square(white))) * 10 ** (dbfs / 20)
    return samples_to_pcm(samples)


def _over_noise(pcm: bytes, dbfs: float) -> bytes:
    return samples_to_pcm(pcm_to_samples(pcm) + pcm_to_samples(noise("pink", dbfs, len(pcm) / 2 / _HZ)))


_TURN: Callable[[], bytes] = lambda: recording(_TALK) + silence_ms(1000)  # noqa: E731
_CASES: Sequence[tuple[str, int, Callable[[], bytes]]] = (
    ("silent, zeros", 64, lambda: silence_ms(2000)),
    ("silent, white noise at -55 dBFS", 64, partial(noise, "white", -55, 10)),
    ("silent, pink noise at -45 dBFS", 64, partial(noise, "pink", -45, 10)),
    ("talking, a turn every four seconds", 32, _TURN),
    ("talking, over pink noise at -50 dBFS", 32, lambda: _over_noise(_TURN(), -50)),
)


@dataclass(frozen=True)
class _Seen:
    cpu_share: float
    """Of one core, by all sessions."""
    lags_ms: Sequence[float]
    waited_share: float
    """Of the time, in which the server had something to do and the core was busy with others."""
    responses: int
    session_mb: float


def one_core_server(*arguments: str) -> AbstractContextManager[ServerProcess]:
    """See ``bench.one_core``; the core is the last one."""
    command = (sys.executable, "-m", "bench.one_core", str(max(os.sched_getaffinity(0))), "serve")
    return running_server(["--engine", "scripted", "--max-sessions", "256", *arguments], command=command)


def density(seconds: float, only: str = "") -> Sequence[Sequence[str]]:
    """Each case in a server of its own, pinned to one core; the clients are on the others."""
    rows = []
    for name, sessions, pcm in _CASES:
        if only in name:
            seen = _measured(sessions, pcm(), seconds)
            lags = sorted(seen.lags_ms)
            rows.append(
                (
                    name,
                    str(sessions),
                    f"{seen.cpu_share / sessions * 100:.2f}",
                    f"{seen.cpu_share * 100:.0f}",
                    f"{lags[len(lags) // 2]:.1f}, {lags[int(len(lags) * 0.99)]:.1f}, {lags[-1]:.1f}",
                    f"{seen.waited_share * 100:.0f}",
                    str(seen.responses),
                    f"{seen.session_mb:.2f}",
                )
            )
    return rows


def _measured(sessions: int, pcm: bytes, seconds: float) -> _Seen:
    frames = wire_frames(pcm[: len(pcm) // (48 * _CHUNK_MS) * 48 * _CHUNK_MS], _CHUNK_MS)
    with one_core_server() as server:
        bare = usage(server.pid).pss_mb
        return asyncio.run(_run(server, bare, sessions, frames, seconds))


async def _run(server: ServerProcess, bare_mb: float, sessions: int, frames: list[bytes], seconds: float) -> _Seen:
    # Each begins somewhere else in the recording.
    audio = [frames[(at := number * len(frames) // sessions) :] + frames[:at] for number in range(sessions)]
    async with crowd(server.websocket_url, sessions) as members, asyncio.TaskGroup() as tasks:
        streaming = tasks.create_task(stream(members, audio, _CHUNK_MS))
        await asyncio.sleep(_SETTLED_S)
        for member in members:
            member.lags_ms.clear()
        began, before, responses = time.monotonic(), usage(server.pid).cpu_s, _responses(members)
        waited = _waited_s(server.pid)
        await asyncio.sleep(seconds)
        after, took, responses = usage(server.pid).cpu_s, time.monotonic() - began, _responses(members) - responses
        waited = _waited_s(server.pid) - waited
        lags = [lag for member in members for lag in (*member.lags_ms, member.unanswered_ms)]
        streaming.cancel()
        session_mb = (usage(server.pid).pss_mb - bare_mb) / sessions
        errors = [error for member in members for error in member.errors]
    if errors:
        raise RuntimeError(errors[0])
    return _Seen((after - before) / took, lags, waited / took, responses, session_mb)


def _waited_s(pid: int) -> float:
    """How long its main thread was ready to run and did not."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def _responses(members: Sequence[Member]) -> int:
    return sum(member.responses for member in members)
