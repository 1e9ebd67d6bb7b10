"""Whether this process and its children compute."""

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Meter", "computes", "pass_real_time"]

_WINDOW_S = 0.15
_BUSY_SHARE = 0.3
"""Of one core. Bookkeeping stays far below it, a computing thread is near 1."""
_IDLE_SHARE = 0.1
"""Of all cores. Where less is idle, a computation may be waiting for a core."""


class Meter:
    """What the process and its children computed since it was made, and whether the machine had cores to spare."""

    def __init__(self) -> None:
        self._cpu_s = _tree_cpu_s()
        self._idle_ticks, self._ticks = _machine_ticks()

    @property
    def used_s(self) -> float:
        """CPU time, all cores together."""
        return _tree_cpu_s() - self._cpu_s

    @property
    def crowded(self) -> bool:
        """Whether hardly a core was idle, so that wall time says little. Never on other systems than Linux."""
        idle_ticks, ticks = _machine_ticks()
        passed = ticks - self._ticks
        return passed > 0 and (idle_ticks - self._idle_ticks) / passed < _IDLE_SHARE


async def pass_real_time(duration_s: float) -> None:
    """Sleep by the machine's clock, also on a virtual-time loop; the loop goes on meanwhile."""
    await asyncio.to_thread(time.sleep, duration_s)


async def computes() -> bool:
    """Whether the process and its children use a core now, in two windows of 150 ms on end.

    CPU time is not disturbed by other processes of a busy machine. Children are seen on Linux only.
    """
    for _ in range(2):
        cpu_s, started_s = _tree_cpu_s(), time.perf_counter()
        await pass_real_time(_WINDOW_S)
        if _tree_cpu_s() - cpu_s < _BUSY_SHARE * (time.perf_counter() - started_s):
            return False
    return True


def _tree_cpu_s() -> float:
    children: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for pid, parent, ticks in _processes():
        children[parent].append((pid, ticks))
    total_ticks = 0
    parents = [os.getpid()]
    while parents:
        for pid, ticks in children[parents.pop()]:
            total_ticks += ticks
            parents.append(pid)
    return time.process_time() + total_ticks / os.sysconf("SC_CLK_TCK")


def _processes() -> Iterator[tuple[int, int, int]]:
    """Of each process: its id, its parent's id, and its CPU time in ticks."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:  # it has ended meanwhile
            continue
        fields = text[text.rindex(")") + 2 :].split()
        yield int(stat.parent.name), int(fields[1]), int(fields[11]) + int(fields[12])


def _machine_ticks() -> tuple[int, int]:
    """Idle and total ticks of all cores since the machine was started."""
    try:
        ticks = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except OSError:
        return 0, 0
    return ticks[3] + ticks[4], sum(ticks)
