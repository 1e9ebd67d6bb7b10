"""``python -m bench.voice``: spoken questions to a server process with the embedded models, in real time, and when the
answer is heard: from the chunk with the last voiced sample sent to the first audio received.

The questions are those of the labelled set (``python -m bench.turn_set``; made where there is none), without espeak's,
which Smart-Turn takes to be unfinished. Each is asked in a session of its own, by a microphone that goes on sending
silence; one before them, the first of the process, is told apart. A table has a row for each way of running the
server; about two minutes a row.
"""

import argparse
import asyncio
import itertools
import re
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import psutil

from bench.client import Client, connected, frames
from bench.turn_set import Clip, at_hand
from bench.turn_set.clips import RATE_HZ
from bench.turns.score import median_and_p90
from tests.support.audio import silence_ms
from tests.support.server import ServerProcess, running_server

__all__ = ["arguments", "main", "questions"]

_CHUNK_MS = 20
_DETECTIONS = ("server_vad", "low", "medium", "high", "auto")
_LEAD_S = 0.4
"""Of the room before the first word."""
_LONGEST_S = 30.0
_LOG_S = 1.0
_ENOUGH_S = 3.0
"""Of an answer, whose beginning is measured."""
_STAGES = ("pause_ms", "judged_ms", "committed_ms", "transcript_ms", "first_text_ms", "first_clause_ms",
           "first_audio_ms", "done_ms")  # fmt: skip
_HEAD = (
    "model",
    "drafts",
    "turn detection",
    "first audio: median, ms",
    "90 %, ms",
    "`speech_stopped`: median, ms",
    "90 %, ms",
    "ended early",
    "talked into",
    "never answered",
    "other processes' CPU",
    "first turn of the process, ms",
)


@dataclass
class _Asked:
    """Seconds on the client's clock, from the chunk with the last voiced sample."""

    stopped_ms: float | None = None
    audio_ms: float | None = None
    early: bool = False
    """Whether the turn was ended before it was over."""
    interrupted: bool = False
    """Whether audio of an answer came before it was over."""
    stages: dict[str, float] = field(default_factory=dict)
    foreign: float = 0.0
    """Share of the machine that other processes took meanwhile."""


def main() -> None:
    given = arguments(sys.argv[1:])
    clips = questions(given.questions)
    print(f"{len(clips)} questions, {len({clip.voice for clip in clips})} voices")
    rows, stages = [], []
    for model, drafts in itertools.product(given.models, given.drafts):
        settings = [f"llm.model={model}", f"turns.drafts={str(drafts).lower()}", *given.server]
        with running_server([part for setting in settings for part in ("--set", setting)]) as server:
            first = asyncio.run(_ask_all(server, clips[:1], given.detections[0], one_session=False))[0]
            for detection in given.detections:
                asked = asyncio.run(_ask_all(server, clips, detection, one_session=given.one_session))
                name = (model, "on" if drafts else "off", detection)
                rows.append((*name, *_row(asked), _ms(first.audio_ms) if detection == given.detections[0] else ""))
                stages.append((*name, *_waterfall(asked)))
                if given.show:
                    _show(clips, asked)
    _table(_HEAD, rows)
    _table(("median, ms: model", "drafts", "turn detection", *(stage.removesuffix("_ms") for stage in _STAGES)), stages)


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """Exits where one of them means nothing."""
    parser = argparse.ArgumentParser(prog="python -m bench.voice", description=__doc__)
    parser.add_argument("--questions", type=_number, default=20)
    parser.add_argument("--models", nargs="+", default=["qwen2.5-coder-1.5b", "qwen2.5-coder-0.5b"])
    parser.add_argument("--detections", nargs="+", default=["server_vad", "medium"], choices=_DETECTIONS)
    parser.add_argument("--drafts", nargs="+", type=_on_or_off, default=[True, False], metavar="{on,off}")
    parser.add_argument("--one-session", action="store_true", help="all questions of a row in one session")
    parser.add_argument("--server", nargs="*", default=[], help="settings of the server (llm.context_tokens=4096)")
    parser.add_argument("--show", action="store_true", help="every question")
    return parser.parse_args(given)


def questions(count: int) -> list[Clip]:
    """So many, or all where the set has fewer. The voices take turns."""
    return [clip for clip in at_hand(kinds=("question",)) if "espeak" not in clip.voice][:count]


def _number(given: str) -> int:
    if not given.isdecimal() or int(given) < 1:
        raise argparse.ArgumentTypeError(f"{given!r} is no number of questions")
    return int(given)


def _on_or_off(given: str) -> bool:
    """A switch of a command line. Raises ``ArgumentTypeError``."""
    words = {"on": True, "true": True, "off": False, "false": False}
    if given.lower() not in words:
        raise argparse.ArgumentTypeError(f"{given!r} is neither on nor off")
    return words[given.lower()]


# --- asking --------------------------------------------------------------------------------------------------------


async def _ask_all(server: ServerProcess, clips: Sequence[Clip], detection: str, *, one_session: bool) -> list[_Asked]:
    asked = []
    if one_session:
        async with _session(server, detection) as client:
            return [await _measured(server, client, clip) for clip in clips]
    for clip in clips:
        async with _session(server, detection) as client:
            asked.append(await _measured(server, client, clip))
    return asked


@asynccontextmanager
async def _session(server: ServerProcess, detection: str) -> Any:
    chosen = {"type": "server_vad"} if detection == "server_vad" else {"type": "semantic_vad", "eagerness": detection}
    async with connected(server.websocket_url) as client:
        audio = {"input": {"turn_detection": chosen}}
        await client.send(type="session.update", session={"type": "realtime", "audio": audio})
        await client.until("session.updated")
        yield client


async def _measured(server: ServerProcess, client: Client, clip: Clip) -> _Asked:
    told = len(server.lines)
    before, began = _cpu(server), time.perf_counter()
    asked = await _ask(client, clip)
    after, took = _cpu(server), time.perf_counter() - began
    asked.foreign = max(0.0, (after[0] - before[0]) - (after[1] - before[1])) / took / (psutil.cpu_count() or 1)
    asked.stages = await _stages(server, told)
    return asked


async def _ask(client: Client, clip: Clip) -> _Asked:
    """Up to the end of the answer to the whole of it."""
    start = max(0, clip.spoken[0][0] - round(_LEAD_S * RATE_HZ))
    end = clip.spoken[-1][1]
    asked = _Asked()
    async with asyncio.TaskGroup() as tasks:
        spoken = asyncio.get_running_loop().create_future()
        microphone = tasks.create_task(_microphone(client, clip.pcm[2 * start : 2 * end], clip.pcm[2 * end :], spoken))
        try:
            async with asyncio.timeout(_LONGEST_S + (end - start) / RATE_HZ):
                await _listen(client, spoken, asked)
        except TimeoutError:
            pass
        microphone.cancel()
    return asked


async def _listen(client: Client, spoken: "asyncio.Future[float]", asked: _Asked) -> None:
    enough_at = float("inf")
    while True:
        at, event = await client.next()
        if at > enough_at:
            # A long answer: the next question shall not wait for its end.
            await client.send(type="response.cancel")
            enough_at = float("inf")
        type = event["type"]
        over = spoken.done()
        if type == "input_audio_buffer.speech_stopped":
            asked.early |= not over
            asked.stopped_ms = (at - spoken.result()) * 1000 if over else None
        elif type == "response.output_audio.delta":
            asked.interrupted |= not over
            if over and asked.stopped_ms is not None and asked.audio_ms is None:
                asked.audio_ms = (at - spoken.result()) * 1000
                enough_at = at + _ENOUGH_S
        elif type == "response.done" and over and asked.audio_ms is not None:
            return
        elif type == "error":
            raise RuntimeError(event["error"]["message"])


async def _microphone(client: Client, speech: bytes, room: bytes, spoken: "asyncio.Future[float]") -> None:
    """Speech, then what the room sounds like, in real time, until cancelled."""
    due = time.perf_counter()
    said = frames(speech, _CHUNK_MS)
    after = itertools.chain(frames(room, _CHUNK_MS), itertools.cycle(frames(silence_ms(_CHUNK_MS), _CHUNK_MS)))
    for number, text in enumerate(itertools.chain(said, after), 1):
        await client.send_text(text)
        if number == len(said):
            spoken.set_result(time.perf_counter())
        due += _CHUNK_MS / 1000
        await asyncio.sleep(max(0.0, due - time.perf_counter()))


def _cpu(server: ServerProcess) -> tuple[float, float]:
    """Seconds of CPU: of the machine, and of it ours."""
    times = psutil.cpu_times()
    busy = sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)
    root = psutil.Process(server.pid)
    ours = [psutil.Process(), root, *root.children(recursive=True)]
    return busy, sum(sum(process.cpu_times()[:2]) for process in ours)


async def _stages(server: ServerProcess, told: int) -> dict[str, float]:
    """The server's own account of the last turn."""
    until = time.perf_counter() + _LOG_S
    while time.perf_counter() < until:
        lines = [line for line in server.lines[told:] if "turn_finished" in line]
        if lines:
            return {name: float(value) for name, value in re.findall(r"(\w+_ms)=([\d.]+)", lines[-1])}
        await asyncio.sleep(0.02)
    return {}


# --- tables --------------------------------------------------------------------------------------------------------


def _row(asked: Sequence[_Asked]) -> Iterator[str]:
    yield from median_and_p90([one.audio_ms for one in asked if one.audio_ms is not None])
    yield from median_and_p90([one.stopped_ms for one in asked if one.stopped_ms is not None])
    yield f"{sum(one.early for one in asked)} of {len(asked)}"
    yield str(sum(one.interrupted for one in asked))
    yield str(sum(one.audio_ms is None for one in asked))
    yield f"{100 * statistics.median(one.foreign for one in asked):.0f} %"


def _waterfall(asked: Sequence[_Asked]) -> Iterator[str]:
    found: dict[str, list[float]] = defaultdict(list)
    for one in asked:
        for stage, ms in one.stages.items():
            found[stage].append(ms)
    for stage in _STAGES:
        yield f"{statistics.median(found[stage]):.0f}" if found[stage] else ""


def _show(clips: Sequence[Clip], asked: Sequence[_Asked]) -> None:
    for clip, one in zip(clips, asked, strict=True):
        print(f"{clip.name:24} {clip.voice:18} stopped {_ms(one.stopped_ms):>6} audio {_ms(one.audio_ms):>6} "
              f"early {one.early!s:5} foreign {one.foreign:.0%} {one.stages}", flush=True)  # fmt: skip


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print()
    for row in (head, ["---"] * len(head), *rows):
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
