"""What the Python clients share. Runs in their environments: the standard library only.

A client's script is called with a server's address and runs its scenarios one after the other. It prints a JSON line
for each: ``{"scenario", "ok", "detail"}``. The line ``{"cut": true}`` asks the caller to cut every connection.
``MCP_URL`` is the address of an MCP server that the server may use.
"""

import asyncio
import json
import math
import struct
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

__all__ = ["RATE_HZ", "ask_for_a_cut", "chunks", "main", "silence", "tone", "until"]

Scenario = Callable[[str], Awaitable[str]]
"""Takes the address, returns in a few words what was seen."""

RATE_HZ = 24_000
_SCENARIO_S = 45.0
_UNTIL_S = 15.0


def main(*scenarios: Scenario) -> None:
    """Run ``run.py ADDRESS [SCENARIO ...]``; scenarios have the names of their functions."""
    address, *names = sys.argv[1:]
    by_name = {scenario.__name__: scenario for scenario in scenarios}
    for name in names or by_name:
        line = asyncio.run(_outcome(by_name[name], address))
        print(json.dumps({"scenario": name, **line}), flush=True)


async def _outcome(scenario: Scenario, address: str) -> dict[str, Any]:
    try:
        async with asyncio.timeout(_SCENARIO_S):
            return {"ok": True, "detail": await scenario(address)}
    except Exception:
        return {"ok": False, "detail": traceback.format_exc(limit=-6)[-3000:]}


def ask_for_a_cut() -> None:
    """Have every connection to the server cut, as a failing network does."""
    print('{"cut": true}', flush=True)


async def until(condition: Callable[[], Any], what: str) -> Any:
    """Return what ``condition`` gives as soon as that is true; fail if it is not within 15 seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _UNTIL_S
    while not (found := condition()):
        assert loop.time() < deadline, f"in {_UNTIL_S:g} s not: {what}"
        await asyncio.sleep(0.01)
    return found


def tone(ms: int) -> bytes:
    """A tone, which the scripted detector takes for speech: 24 kHz, 16 bits, mono."""
    samples = (int(9000 * math.sin(2 * math.pi * 440 * at / RATE_HZ)) for at in range(RATE_HZ * ms // 1000))
    return b"".join(struct.pack("<h", sample) for sample in samples)


def silence(ms: int) -> bytes:
    return bytes(RATE_HZ * ms // 1000 * 2)


def chunks(pcm: bytes, ms: int = 100) -> Iterator[bytes]:
    size = RATE_HZ * ms // 1000 * 2
    return (pcm[start : start + size] for start in range(0, len(pcm), size))
