"""``make bench-rtc``: calls with speech both ways without a pause, the callers here and who answers in another process.

Prints tables, and the same as JSON (``--json FILE``).
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from antiphon.rtc.opus import OpusEncoder
from bench.processes import usage
from bench.rtc_answerer import SPEECH
from tests.support.audio import recording
from tests.support.rtc_caller import Caller, calling, speaking

__all__ = ["main"]

_FRAME_BYTES = 960
_BETWEEN_CALLS_S = 0.02
_WARM_UP_S = 1.5
_LINE_BYTES = 1 << 20
_CLEARS = 20

Row = dict[str, Any]


class Answerer:
    """The process that answers."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._lock = asyncio.Lock()

    async def ask(self, do: str, **order: Any) -> dict[str, Any]:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        async with self._lock:
            process.stdin.write(json.dumps({"do": do, **order}).encode() + b"\n")
            line = await process.stdout.readline()
        if not line:
            raise RuntimeError("the answering process has ended")
        told: dict[str, Any] = json.loads(line)
        return told

    async def signal(self, offer: str) -> str:
        return str((await self.ask("answer", sdp=offer))["sdp"])

    @property
    def pss_mb(self) -> float:
        return usage(self._process.pid).pss_mb


@asynccontextmanager
async def _answerer(kind: str) -> AsyncIterator[Answerer]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.rtc_answerer", kind, stdin=pipe, stdout=pipe, limit=_LINE_BYTES
    )
    try:
        answerer = Answerer(process)
        await answerer.ask("read")
        yield answerer
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(10):
                await process.wait()
        except TimeoutError:
            process.kill()


def _payloads() -> list[bytes]:
    pcm = recording(SPEECH)
    encoder = OpusEncoder()
    return [encoder.encode(pcm[at : at + _FRAME_BYTES]) for at in range(0, len(pcm) - _FRAME_BYTES + 1, _FRAME_BYTES)]


async def _loaded(kind: str, calls: int, seconds: float) -> Row:
    """So many calls at a time: what they cost, and how well they are kept."""
    async with _answerer(kind) as answerer, AsyncExitStack() as stack:
        before_mb = answerer.pss_mb
        callers, opened_ms = await _connected(stack, answerer, calls)
        async with asyncio.TaskGroup() as tasks:
            talk = tasks.create_task(speaking(callers, _payloads(), int((_WARM_UP_S + seconds + 30) * 50)))
            await asyncio.sleep(_WARM_UP_S)
            await answerer.ask("read")
            for caller in callers:
                caller.received.packets = 0
                caller.received.arrivals_s.clear()
                caller.received.timed = True
            begun_s, cpu_s = time.monotonic(), time.process_time()
            await asyncio.sleep(seconds)
            told = await answerer.ask("read")
            lasted_s, own_cpu_s = time.monotonic() - begun_s, time.process_time() - cpu_s
            packets = sum(caller.received.packets for caller in callers)
            gaps_ms = sorted(gap for caller in callers for gap in _gaps_ms(caller.received.arrivals_s))
            after_mb = answerer.pss_mb
            talk.cancel()
    return {
        "answerer": kind,
        "calls": calls,
        "cores": told["cpu_s"] / told["wall_s"],
        "cpu_s_per_call_minute": told["cpu_s"] / told["wall_s"] * 60 / calls,
        "late_p50_ms": told["late_p50_ms"],
        "late_p99_ms": told["late_p99_ms"],
        "late_max_ms": told["late_max_ms"],
        "heard_share": told["heard_s"] / told["wall_s"] / calls,
        "sent_frames_per_s": packets / lasted_s / calls,
        "interval_p99_ms": gaps_ms[int(len(gaps_ms) * 0.99)] if gaps_ms else 0.0,
        "mb_per_call": (after_mb - before_mb) / calls,
        "opened_ms": statistics.median(opened_ms),
        "opened_max_ms": max(opened_ms),
        "callers_cores": own_cpu_s / lasted_s,
    }


async def _connected(stack: AsyncExitStack, answerer: Answerer, calls: int) -> tuple[list[Caller], list[float]]:
    callers, opened_ms = [], []
    for _ in range(calls):
        caller = await stack.enter_async_context(calling(answerer.signal))
        opened_ms.append((await caller.connect()).opened_s * 1000)
        callers.append(caller)
        await asyncio.sleep(_BETWEEN_CALLS_S)
    return callers, opened_ms


def _gaps_ms(arrivals_s: Sequence[float]) -> list[float]:
    return [(after - before) * 1000 for before, after in pairwise(arrivals_s)]


async def _cleared(calls: int) -> Row:
    """From the order to clear to the last packet on the wire, in calls that all talk."""
    took_ms = []
    async with _answerer("ours") as answerer, AsyncExitStack() as stack:
        callers, _ = await _connected(stack, answerer, calls)
        async with asyncio.TaskGroup() as tasks:
            talk = tasks.create_task(speaking(callers, _payloads(), 10_000))
            for number in range(_CLEARS):
                await asyncio.sleep(0.2 + 0.0037 * number)
                order = await answerer.ask("clear", call=number % calls)
                await asyncio.sleep(0.3)
                took_ms.append((callers[number % calls].received.last_s - order["at_s"]) * 1000)
            talk.cancel()
    return {"calls": calls, "median_ms": statistics.median(took_ms), "max_ms": max(took_ms)}


async def _beside_model(seconds: float) -> Row:
    """One call that talks while the embedded language model writes in its child process."""
    async with _answerer("ours") as answerer, AsyncExitStack() as stack:
        callers, _ = await _connected(stack, answerer, 1)
        async with asyncio.TaskGroup() as tasks:
            talk = tasks.create_task(speaking(callers, _payloads(), 10_000))
            await answerer.ask("write stories")
            await asyncio.sleep(5)  # the model is loaded, and writes
            await answerer.ask("read")
            await asyncio.sleep(seconds)
            told = await answerer.ask("read")
            talk.cancel()
    return {name: told[name] for name in ("ticks", "late_p50_ms", "late_p99_ms", "late_max_ms")}


async def _measure(quick: bool) -> dict[str, Any]:
    seconds = 4.0 if quick else 12.0
    found: dict[str, Any] = {"load": []}
    for kind, all_calls in (("ours", (10, 25, 50, 70)), ("aiortc", (10, 25))):
        for calls in all_calls[: 2 if quick else None]:
            row = await _loaded(kind, calls, seconds)
            found["load"].append(row)
            _print_load(row, first=len(found["load"]) == 1)
    found["clear"] = await _cleared(5 if quick else 25)
    print(
        "\nclear to the last packet, {calls} calls: median {median_ms:.1f} ms, most {max_ms:.1f} ms".format(
            **found["clear"]
        )
    )
    found["model"] = await _beside_model(seconds)
    print(
        "tick lateness beside the language model: median {late_p50_ms:.2f} ms, 99 % {late_p99_ms:.2f} ms, "
        "most {late_max_ms:.1f} ms".format(**found["model"])
    )
    return found


_COLUMNS = (
    ("answerer", "{answerer}"),
    ("calls", "{calls}"),
    ("cores", "{cores:.2f}"),
    ("CPU s per call-minute", "{cpu_s_per_call_minute:.2f}"),
    ("tick lateness, ms: median, 99 %, most", "{late_p50_ms:.2f}, {late_p99_ms:.2f}, {late_max_ms:.1f}"),
    ("heard, share of time", "{heard_share:.3f}"),
    ("frames sent a second", "{sent_frames_per_s:.1f}"),
    ("between packets, 99 %, ms", "{interval_p99_ms:.1f}"),
    ("MB a call", "{mb_per_call:.2f}"),
    ("to the open channel, ms: median, most", "{opened_ms:.0f}, {opened_max_ms:.0f}"),
    ("cores of the callers", "{callers_cores:.2f}"),
)


def _print_load(row: Row, first: bool) -> None:
    if first:
        print("| " + " | ".join(name for name, _ in _COLUMNS) + " |")
        print("|" + " --- |" * len(_COLUMNS))
    print("| " + " | ".join(form.format(**row) for _, form in _COLUMNS) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-rtc", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer calls for less time")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {load:.1f}\n")
    found = asyncio.run(_measure(given.quick))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")
    else:
        print("\n" + json.dumps(found))


if __name__ == "__main__":
    main()
