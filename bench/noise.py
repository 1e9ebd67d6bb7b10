"""``python -m bench.noise``: what noise reduction does to noise, speech and recognised words, and what it costs."""

import asyncio
import time

import numpy as np

from antiphon.engines.noise_webrtc import WebRtcNoiseReducer
from antiphon.engines.stt_whisper import create as create_whisper
from antiphon.runtime.noise_reducing import NoiseReducing
from antiphon.vocabulary.speech import NoiseKind
from tests.support.audio import transcript_of
from tests.support.noise import RECORDINGS, Levels, levels, noisy, reduced, wrong_words

NOISES_DB = (20, 10, 5)
"""How far below the speech."""
_CHUNK_BYTES = 960
_FILTERS: tuple[tuple[NoiseKind, float] | None, ...] = (
    None,
    ("near_field", 0.5),
    ("near_field", 1.0),
    ("far_field", 0.5),
    ("far_field", 1.0),
)


def cost_us(kind: NoiseKind, seconds: int = 20) -> float:
    """Time for 20 ms of audio, in microseconds."""
    reducing = NoiseReducing(WebRtcNoiseReducer(), kind, 1.0)
    pcm = noisy(RECORDINGS[0], 10)[: 50 * _CHUNK_BYTES]
    chunks = [pcm[start : start + _CHUNK_BYTES] for start in range(0, len(pcm), _CHUNK_BYTES)]
    began = time.perf_counter()
    for _ in range(seconds):
        for chunk in chunks:
            reducing.push(chunk)
    return (time.perf_counter() - began) / (seconds * len(chunks)) * 1e6


def _mean_change(kind: NoiseKind | None, strength: float, below_db: float) -> Levels:
    changes = []
    for name in RECORDINGS:
        before = noisy(name, below_db)
        was, now = levels(name, before), levels(name, reduced(before, kind, strength))
        changes.append((now.noise - was.noise, now.speech - was.speech))
    return Levels(*(float(value) for value in np.mean(changes, axis=0)))


async def _words(kind: NoiseKind | None, strength: float) -> list[str]:
    stt = create_whisper({"model": "tiny.en", "window": "full"})
    total = sum(len(transcript_of(name).split()) for name in RECORDINGS)
    shares = []
    for below_db in NOISES_DB:
        wrong = 0
        for name in RECORDINGS:
            wrong += await wrong_words(stt, name, reduced(noisy(name, below_db), kind, strength))
        shares.append(f"{100 * wrong / total:.1f} %")
    await stt.aclose()
    return shares


def main() -> None:
    head = "20 ms cost, µs | noise, dB | speech, dB | wrong words, noise 20 / 10 / 5 dB below"
    print(f"| filter | strength | {head} |\n|---|---|---|---|---|---|")
    for filter_ in _FILTERS:
        kind, strength = filter_ or (None, 0.0)
        change = _mean_change(kind, strength, 10)
        cost = f"{cost_us(kind):.0f}" if kind else ""
        words = " / ".join(asyncio.run(_words(kind, strength)))
        print(
            f"| {kind or 'none'} | {strength:g} | {cost} | {change.noise:+.1f} | {change.speech:+.1f} | {words} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
