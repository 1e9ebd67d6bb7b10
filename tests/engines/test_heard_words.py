"""What is kept of a truncated answer is what can be heard in its kept audio: hibari speaks, Whisper listens."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import cast

import pytest

from antiphon.audio.g711 import decode_alaw, decode_ulaw
from antiphon.audio.resample import resample
from antiphon.engines.base import CallContext, SpeechToText
from antiphon.engines.stt_whisper import create as create_whisper
from antiphon.engines.tts_hibari import create as create_hibari
from antiphon.vocabulary.speech import SttOptions
from tests.support.runtime import Client, engines_of, serving
from tests.support.words import word_errors

TEXT = (
    "Well, the answer is simple. Last month we sold **1,250 tickets** for the new show, and that was more than anybody "
    "had expected. The *next one* opens soon; until then you can still book seats."
)
_DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "audio/pcm": bytes,
    "audio/pcmu": decode_ulaw,
    "audio/pcma": decode_alaw,
}


async def _heard(stt: SpeechToText, pcm: bytes, rate_hz: int) -> str:
    async def audio() -> AsyncIterator[bytes]:
        yield resample(pcm, rate_hz, stt.sample_rate_hz)

    heard = ""
    async with aclosing(stt.transcribe(audio(), context=CallContext("ear"), options=SttOptions())) as transcripts:
        async for transcript in transcripts:
            heard = transcript.text
    return heard


async def _kept(client: Client, item_id: str, end_ms: int, number: int) -> tuple[str, bytes]:
    client.say("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=end_ms)
    client.say("conversation.item.retrieve", item_id=item_id)
    (part,) = (await client.until("conversation.item.retrieved", number))["item"]["content"]
    return part["transcript"], base64.b64decode(part["audio"])


@pytest.mark.engines
@pytest.mark.parametrize(
    ("speed", "format", "ends_ms"),
    [
        (1.0, "audio/pcm", (10_000, 7_000, 4_500, 2_000)),
        (1.0, "audio/pcmu", (8_500,)),
        (1.5, "audio/pcma", (6_000, 3_000)),
        (0.5, "audio/pcm", (9_000,)),
    ],
)
def test_the_words_that_are_kept_are_those_in_the_audio_that_is_kept(
    speed: float, format: str, ends_ms: tuple[int, ...]
) -> None:
    tts, stt = create_hibari({}), create_whisper({"model": "tiny.en", "window": "full"})
    rate_hz = 24_000 if format == "audio/pcm" else 8_000

    async def main() -> None:
        async with serving(engines_of(tts=tts)) as server:
            client = await server.connect()
            client.update(audio={"output": {"speed": speed, "format": {"type": format}}})
            client.ask(f"say {TEXT}")
            item_id = (await client.until("response.done"))["response"]["output"][0]["id"]
            for number, end_ms in enumerate(ends_ms, 1):
                transcript, audio = await _kept(client, item_id, end_ms, number)
                pcm = _DECODERS[format](audio)
                assert TEXT.startswith(transcript)
                assert len(pcm) == end_ms * rate_hz // 1000 * 2
                heard = await _heard(cast(SpeechToText, stt), pcm, rate_hz)
                # A word that was cut, and one either way for the pace inside a clause.
                assert word_errors(transcript, heard) <= 3, (end_ms, transcript, heard)
            client.hang_up()
        await tts.aclose()
        await stt.aclose()

    asyncio.run(main())
