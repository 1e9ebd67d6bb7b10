"""What is heard of a caller whose packets get lost, come twice or out of order."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

import numpy as np
import pytest

from antiphon.audio.pcm import pcm_to_samples
from antiphon.rtc.opus import OpusEncoder
from tests.support.audio import recording
from tests.support.rtc_caller import Caller, calling, speaking
from tests.support.rtc_endpoint import Owner, answered_by, open_endpoint
from tests.support.rtc_link import PERFECT, Impairment
from tests.support.rtc_loop import in_real_time

_HZ = 24_000
_FRAME_BYTES = 960
_FRAMES = 150
_BEHIND_S = 0.04
"""Silence by the clock leaves room for the packet that may come just now: one or two frames."""

NETWORKS = {
    "perfect": PERFECT,
    "5 % lost": Impairment(loss=0.05),
    "20 % lost": Impairment(loss=0.2),
    "20 % late by one": Impairment(reordering=0.2),
    "20 % late by five": Impairment(reordering=0.2, late_packets=5),
    "20 % twice": Impairment(duplication=0.2),
    "all of it": Impairment(loss=0.1, duplication=0.1, reordering=0.1, late_packets=2),
}


class _Owner(Owner):
    since_s = 0.0
    """By the loop's clock, when what was heard first began to be spoken."""

    def audio_received(self, pcm: bytes) -> None:
        self.since_s = self.since_s or asyncio.get_running_loop().time() - len(pcm) / 2 / _HZ
        super().audio_received(pcm)


def encoded(pcm: bytes) -> list[bytes]:
    encoder = OpusEncoder()
    frames = [encoder.encode(pcm[at : at + _FRAME_BYTES]) for at in range(0, len(pcm) - _FRAME_BYTES + 1, _FRAME_BYTES)]
    encoder.close()
    return frames


async def heard_over(networks: Mapping[str, Impairment], said: Sequence[bytes]) -> dict[str, tuple[bytes, float]]:
    """All say the same, at the same time; for each what was heard, and for how many seconds it was listened to."""
    owners = {name: _Owner() for name in networks}
    now = asyncio.get_running_loop().time
    async with open_endpoint() as endpoint, AsyncExitStack() as stack:
        callers: list[Caller] = []
        for name, impairment in networks.items():
            caller = await stack.enter_async_context(calling(answered_by(endpoint, owners[name]), sending=impairment))
            await caller.connect()
            callers.append(caller)
        await speaking(callers, said, len(said))
        await asyncio.sleep(0.5)  # the input goes on with silence, up to now
        return {name: (bytes(owner.pcm), now() - owner.since_s) for name, owner in owners.items()}


@in_real_time
async def test_as_many_samples_are_heard_as_time_passes_and_almost_all_of_the_sound() -> None:
    heard = await heard_over(NETWORKS, encoded(recording("austen_0920.wav"))[:_FRAMES])
    loudness = {name: float(np.sum(pcm_to_samples(pcm) ** 2)) for name, (pcm, _) in heard.items()}
    for name, (pcm, duration_s) in heard.items():
        assert len(pcm) / 2 / _HZ == pytest.approx(duration_s - _BEHIND_S, abs=0.05), name
        assert loudness[name] == pytest.approx(loudness["perfect"], rel=0.25), name
