"""``python -m bench.barge_in``: a server process with the embedded models tells a story, and is interrupted.

In real time over a WebSocket, for either policy: how long after the first voiced sample the answer is cut, and how
long after that audio of it still comes. The interruptions and the backchannels are those of the labelled set
(``python -m bench.turn_set``). About three minutes.
"""

import argparse
import asyncio
import statistics
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from bench.client import Client, connected
from bench.microphone import Microphone
from bench.turn_set import Clip, at_hand
from bench.turn_set.clips import Kind
from bench.turns.score import median_and_p90
from tests.support.server import ServerProcess, running_server

__all__ = ["main"]

_KINDS: Final[tuple[Kind, ...]] = ("barge-in", "backchannel")
_STORY = "Tell me a long story about a ship, in at least ten sentences."
_UNDISTURBED_S = 0.8
_AFTERWARDS_S = 3.0
_PATIENCE_S = 30.0


@dataclass
class _Cut:
    """Milliseconds; None: the answer went on."""

    decided_ms: float | None = None
    """From the first voiced sample to ``speech_started``."""
    last_audio_ms: float = 0.0
    """From there to the last audio of the answer."""
    done_ms: float | None = None
    """From there to ``response.done``."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.barge_in", description=__doc__)
    parser.add_argument("--clips", type=int, default=8, help="of either kind")
    parser.add_argument("--server", nargs="*", default=[], help="settings of the server (turns.barge_in_ms=300)")
    given = parser.parse_args()
    wanted, unwanted = (at_hand(kinds=(kind,))[: given.clips] for kind in _KINDS)
    head = ("turn detection", "interruptions", "decided after: median, ms", "90 %, ms", "last audio then: median, ms",
            "at most, ms", "`response.done`: median, ms", "backchannels that interrupt")  # fmt: skip
    for row in (head, ["---"] * len(head)):
        _print(row)
    with running_server([part for setting in given.server for part in ("--set", setting)]) as server:
        for detection in ({"type": "server_vad"}, {"type": "semantic_vad"}):
            cuts = asyncio.run(_all(server, wanted, detection))
            kept = asyncio.run(_all(server, unwanted, detection))
            _print((f"`{detection['type']}`", *_row(cuts), f"{_count(kept)} of {len(kept)}"))


async def _all(server: ServerProcess, clips: Sequence[Clip], detection: dict[str, str]) -> list[_Cut]:
    return [await _interrupted(server, clip, detection) for clip in clips]


async def _interrupted(server: ServerProcess, clip: Clip, detection: dict[str, str]) -> _Cut:
    cut = _Cut()
    async with connected(server.websocket_url) as client:
        audio = {"input": {"turn_detection": detection}}
        await client.send(type="session.update", session={"type": "realtime", "audio": audio})
        content = [{"type": "input_text", "text": _STORY}]
        await client.send(type="conversation.item.create", item={"type": "message", "role": "user", "content": content})
        await client.send(type="response.create")
        async with Microphone(client) as microphone:
            await asyncio.wait_for(client.until("response.output_audio.delta"), _PATIENCE_S)
            with suppress(TimeoutError):
                await asyncio.wait_for(client.drain(), _UNDISTURBED_S)
            first, end = clip.spoken[0][0], clip.spoken[-1][1]
            microphone.say(clip.pcm[2 * first : 2 * end])
            with suppress(TimeoutError):
                async with asyncio.timeout((end - first) / 24_000 + _AFTERWARDS_S):
                    await _listen(client, microphone, cut)
    return cut


async def _listen(client: Client, microphone: Microphone, cut: _Cut) -> None:
    decided = float("inf")
    while True:
        at, event = await client.next()
        if event["type"] == "input_audio_buffer.speech_started" and cut.decided_ms is None:
            decided = at
            cut.decided_ms = (at - microphone.began_s) * 1000
        elif event["type"] == "response.output_audio.delta" and at > decided and cut.done_ms is None:
            cut.last_audio_ms = (at - decided) * 1000
        elif event["type"] == "response.done" and at > decided and cut.done_ms is None:
            cut.done_ms = (at - decided) * 1000


def _count(cuts: Sequence[_Cut]) -> int:
    return sum(cut.decided_ms is not None for cut in cuts)


def _row(cuts: Sequence[_Cut]) -> list[str]:
    made = [cut for cut in cuts if cut.decided_ms is not None]
    decided = median_and_p90([cut.decided_ms for cut in made if cut.decided_ms is not None])
    last = [cut.last_audio_ms for cut in made]
    done = [cut.done_ms for cut in made if cut.done_ms is not None]
    late = [f"{statistics.median(last):.1f}", f"{max(last):.1f}"] if last else ["", ""]
    return [f"{len(made)} of {len(cuts)}", *decided, *late, f"{statistics.median(done):.1f}" if done else ""]


def _print(row: Sequence[str]) -> None:
    print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
