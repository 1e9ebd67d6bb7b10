"""``python -m bench [PART]``: prints the tables of docs/explanation/performance.md, all of them or one."""

import argparse
import os
import platform
from collections.abc import Sequence

from bench import measures
from bench.core import core
from bench.density import density
from bench.hour import hour
from bench.path import path
from bench.tools import tools

_HEADS = {
    "overhead": ("turn overhead, ms: median (range)", "last event in to first audio out"),
    "tools": ("call of an MCP tool that answers at once, ms: median (range)", "from its begin to its end"),
    "cost": (
        "sessions on one core, chunks of 20 ms, engines but the detector excluded",
        "number",
        "% of the core each",
        "all",
        "behind, ms: median, 99 %, worst",
        "waited for the core, %",
        "answers",
        "MB each",
    ),
    "chunks": ("chunk", "silent session, % of a core", "talking", "talking, engines excluded"),
    "path": ("step of the audio path", "µs of CPU", "% of a core for a session"),
    "core": ("in the core, µs of CPU: median", "handle", "encoding what comes out", "ratio"),
    "memory": ("memory", "PSS"),
    "hour": ("minute", "answers", "memory of the session, MB", "of it audio", "most at any time"),
    "embedded": ("embedded models", "value"),
    "lag": ("round trip, ms", "median", "99 %", "worst"),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("what", nargs="?", default="all", choices=[*_HEADS, "all"])
    parser.add_argument("--turns", type=int, default=40)
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--server", nargs="*", default=[], help="flags of the server with embedded models")
    given = parser.parse_args()
    wanted = list(_HEADS) if given.what == "all" else [given.what]
    load = os.getloadavg()[0]
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {load:.1f}")
    for name in wanted:
        _table(_HEADS[name], _measure(name, given))


def _measure(name: str, given: argparse.Namespace) -> Sequence[Sequence[str]]:
    if name == "overhead":
        return measures.overhead(given.turns)
    if name == "tools":
        return tools(given.turns)
    if name == "cost":
        return density(given.seconds)
    if name == "chunks":
        return measures.chunks(given.sessions, given.seconds)
    if name == "path":
        return path()
    if name == "core":
        return core()
    if name == "hour":
        return hour()
    if name == "memory":
        return measures.memory(100)
    if name == "lag":
        return measures.lag(given.seconds, given.server)
    return measures.embedded(max(4, given.turns // 5), given.server)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print()
    for row in (head, ["---"] * len(head), *rows):
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
