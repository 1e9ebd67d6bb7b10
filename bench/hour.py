"""The memory of one session over an hour of talk, on virtual time: the whole runtime, scripted engines."""

import asyncio
import gc
import tracemalloc
from collections.abc import Sequence

from antiphon.runtime.settings import RuntimeSettings
from antiphon.testing.clock import run_virtual
from antiphon.testing.scripted import ScriptedLlm, ScriptedStt, ScriptedTts, ScriptedVad
from tests.support.audio import chunks, silence_ms, tone_ms
from tests.support.runtime import Client, engines_of, serving

__all__ = ["hour"]

_MARKS = (1, 10, 30, 59)
"""Minutes; the session itself ends after sixty."""


class _Listener(Client):
    """A client that keeps nothing of what it receives but the number of answers."""

    answers = 0

    async def send(self, frames: Sequence[bytes]) -> None:
        self.answers += sum(b'"type":"response.done"' in frame for frame in frames)
        self._news.set()


def hour() -> Sequence[Sequence[str]]:
    """Traced memory after so many minutes of turns: four seconds of speech, an answer, six seconds of silence."""
    return run_virtual(_hour())


async def _hour() -> Sequence[Sequence[str]]:
    engines = engines_of(vad=ScriptedVad(), stt=ScriptedStt(), llm=ScriptedLlm(), tts=ScriptedTts())
    turn = list(chunks(tone_ms(4_000) + silence_ms(6_000), 100))
    rows: list[Sequence[str]] = []
    async with serving(engines, RuntimeSettings()) as server:
        client = _Listener()
        await server.connect(client, ready=False)
        await asyncio.sleep(1)
        client.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
        gc.collect()
        tracemalloc.start()
        loop = asyncio.get_running_loop()
        for minute in _MARKS:
            while loop.time() < minute * 60:
                for chunk in turn:
                    client.append(chunk)
                    await asyncio.sleep(len(chunk) / 2 / 24_000)
            gc.collect()
            traced, peak = tracemalloc.get_traced_memory()
            (running,) = server.sessions._running
            kept = running.session.audio_bytes
            rows.append(
                (str(minute), str(client.answers), f"{traced / 1e6:.1f}", f"{kept / 1e6:.1f}", f"{peak / 1e6:.1f}")
            )
        tracemalloc.stop()
        client.hang_up()
    return rows
