"""Engines that fail, crash or hang at every stage: a failed response or transcript, and the session goes on."""

import asyncio
import base64
from collections.abc import Iterator

import pytest

from tests.support.audio import silence_ms, tone_ms
from tests.support.server import ServerProcess, running_server
from tests.support.wire_client import WireClient, append, connected, message, update

pytestmark = pytest.mark.e2e

IMPATIENT = [f"patience.{stage}_{kind}_s=0.5" for stage in ("stt", "llm", "tts") for kind in ("first", "gap")]


@pytest.fixture(scope="module")
def impatient_server() -> Iterator[ServerProcess]:
    """Waits for an engine for 0.5 s at most, once."""
    settings = [*IMPATIENT, "patience.retries=0"]
    with running_server(["--engine", "scripted", *(word for one in settings for word in ("--set", one))]) as server:
        yield server


ENDS = {
    "fail": "engine_failed",
    "fail overloaded": "rate_limit_exceeded",
    "fail unavailable": "engine_unavailable",
    "fail timeout": "engine_timeout",
    "fail bad_input": "invalid_value",
    "fail context_overflow": "context_length_exceeded",
    "crash": "engine_failed",
    "hang": "engine_timeout",
    "say one\nfail": "engine_failed",
    "say one\ncrash": "engine_failed",
    "say one\nhang": "engine_timeout",
    "call f {}\nfail": "engine_failed",
    "call f {}\ncrash": "engine_failed",
    "say speech fails here.": "engine_failed",
    "say speech hangs here.": "engine_timeout",
    "say One whole sentence. And then speech fails here.": "engine_failed",
}


@pytest.mark.parametrize("text", ENDS)
def test_a_response_whose_engine_ends_badly_is_failed(impatient_server: ServerProcess, text: str) -> None:
    async def run() -> None:
        async with connected(impatient_server) as client:
            response = await client.ask(text)
            error = response["status_details"]["error"]
            assert (response["status"], error["code"]) == ("failed", ENDS[text])
            assert error["message"]
            assert response["usage"] is not None
            assert (await client.next())["type"] == "rate_limits.updated"
            await client.assert_works()

    asyncio.run(run())


async def _listen(client: WireClient, script: str) -> None:
    """Have the recogniser follow a script."""
    await client.send(update(audio={"input": {"transcription": {"model": "any", "prompt": script}}}))
    await client.until("session.updated")


async def _speak(client: WireClient, pcm: bytes) -> None:
    await client.send(append(base64.b64encode(pcm).decode()))


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("fail", "transcription_failed"),
        ("fail overloaded", "transcription_overloaded"),
        ("crash", "transcription_failed"),
        ("hang", "transcription_timeout"),
        ("say one\nfail", "transcription_failed"),
        ("say one\ncrash", "transcription_failed"),
        ("say one\nhang", "transcription_timeout"),
    ],
)
def test_speech_whose_recogniser_ends_badly_is_told_and_its_answer_failed(
    impatient_server: ServerProcess, script: str, code: str
) -> None:
    async def run() -> None:
        async with connected(impatient_server) as client:
            await _listen(client, script)
            await _speak(client, tone_ms(900) + silence_ms(1200))
            failed = await client.until("conversation.item.input_audio_transcription.failed")
            assert failed["error"]["code"] == code
            assert (await client.until("response.done"))["response"]["status"] == "failed"
            await client.assert_works()

    asyncio.run(run())


@pytest.mark.parametrize("script", ["wait 400\nfail", "wait 400\ncrash", "hang"])
def test_a_response_that_waits_for_words_that_never_come_is_failed(
    impatient_server: ServerProcess, script: str
) -> None:
    async def run() -> None:
        async with connected(impatient_server) as client:
            await client.send(update(audio={"input": {"turn_detection": None}}))
            await _listen(client, script)
            await _speak(client, tone_ms(500))
            await client.send({"type": "input_audio_buffer.commit"})
            await client.send({"type": "response.create"})
            assert (await client.until("response.done"))["response"]["status"] == "failed"
            await client.assert_works()

    asyncio.run(run())


def test_whoever_cancels_does_not_wait_for_a_hanging_engine(scripted_server: ServerProcess) -> None:
    async def run() -> None:
        for text in ("hang", "say one\nhang", "say speech hangs here."):
            async with connected(scripted_server) as client, asyncio.timeout(10):
                await client.send(message(text))
                await client.send({"type": "response.create"})
                await client.until("response.created")
                await client.send({"type": "response.cancel"})
                assert (await client.until("response.done"))["response"]["status"] == "cancelled"
                await client.assert_works()

    asyncio.run(run())
