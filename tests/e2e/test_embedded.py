"""The embedded engines, all of them, on recorded human speech: what was understood, and what was said."""

import asyncio
import base64
from collections.abc import Iterator
from typing import Any, cast

import pytest
from openai import AsyncOpenAI
from PIL import Image

from antiphon.audio.resample import resample
from antiphon.engines import registry
from antiphon.engines.base import CallContext, SpeechToText
from antiphon.engines.registry import EngineKind
from antiphon.testing.wire import assert_valid_server_event
from antiphon.vocabulary.speech import SttOptions
from tests.support.audio import chunks, recording, silence_ms, transcript_of
from tests.support.images import data_url, encoded, invoice, landscape
from tests.support.server import ServerProcess, running_server
from tests.support.words import word_error_rate

pytestmark = [pytest.mark.e2e, pytest.mark.engines, pytest.mark.timeout(300)]

ANSWER = "The capital of France is Paris."
INSTRUCTIONS = f"Whatever the user says, answer with one sentence and nothing else: {ANSWER}"
EARLIER = ("Hello there.", "Turn left and wait.", "She had thought about it for a long time.", "What is the time?")
"""Lines that were answered with ``ANSWER`` before: the smallest model follows examples better than an instruction."""


@pytest.fixture(scope="module")
def embedded_server() -> Iterator[ServerProcess]:
    with running_server(["--set", "llm.model=qwen2.5-coder-0.5b", "--set", "llm.temperature=0"]) as server:
        yield server


async def spoken_turn(server: ServerProcess, pcm: bytes) -> list[dict[str, Any]]:
    """Speak, then listen until the answer is complete. Returns every event."""
    events: list[dict[str, Any]] = []
    async with (
        AsyncOpenAI(base_url=server.base_url, api_key="any") as openai,
        openai.realtime.connect(model="gpt-realtime") as connection,
    ):
        await connection.session.update(
            session={
                "type": "realtime",
                "instructions": INSTRUCTIONS,
                "audio": {"input": {"transcription": {"model": "whisper-1"}}},
            }
        )
        for line in EARLIER:
            for role, kind, text in (("user", "input_text", line), ("assistant", "output_text", ANSWER)):
                item: Any = {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}
                await connection.conversation.item.create(item=item)
        for chunk in chunks(silence_ms(300) + pcm + silence_ms(1200), 100):
            await connection.input_audio_buffer.append(audio=base64.b64encode(chunk).decode())
        async for event in connection:
            payload = event.to_dict()
            assert_valid_server_event(payload)
            events.append(payload)
            if event.type in ("response.done", "error"):
                break
    return events


async def heard(pcm: bytes) -> str:
    """What the embedded recogniser makes of 24 kHz audio."""
    stt = cast(SpeechToText, registry.create(EngineKind.STT, "whisper", {}))

    async def audio() -> Any:
        yield resample(pcm, 24_000, stt.sample_rate_hz)

    try:
        transcripts = [t async for t in stt.transcribe(audio(), context=CallContext("test"), options=SttOptions())]
    finally:
        await stt.aclose()
    return transcripts[-1].text


@pytest.mark.parametrize("name", ["austen_0870.wav", "go_forward.wav"])
def test_human_speech_is_understood_and_answered_in_speech(embedded_server: ServerProcess, name: str) -> None:
    events = asyncio.run(spoken_turn(embedded_server, recording(name)))
    by_type = {event["type"]: event for event in events}
    said = by_type["conversation.item.input_audio_transcription.completed"]["transcript"]
    assert word_error_rate(transcript_of(name), said) <= 0.15
    assert by_type["response.done"]["response"]["status"] == "completed"
    deltas = [event["delta"] for event in events if event["type"] == "response.output_audio.delta"]
    answer = b"".join(base64.b64decode(delta) for delta in deltas)
    spoken = by_type["response.output_audio_transcript.done"]["transcript"]
    understood = asyncio.run(heard(answer))
    assert "paris" in understood.casefold()
    assert word_error_rate(spoken, understood) <= 0.25


def test_human_speech_is_transcribed_with_the_probability_of_each_token(embedded_server: ServerProcess) -> None:
    async def run() -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        async with (
            AsyncOpenAI(base_url=embedded_server.base_url, api_key="any") as openai,
            openai.realtime.connect(extra_query={"intent": "transcription", "model": "any-name"}) as connection,
        ):
            await connection.session.update(
                session={
                    "type": "transcription",
                    "include": ["item.input_audio_transcription.logprobs"],
                    "audio": {"input": {"turn_detection": None, "transcription": {"language": "en"}}},
                }
            )
            for chunk in chunks(recording("go_forward.wav"), 100):
                await connection.input_audio_buffer.append(audio=base64.b64encode(chunk).decode())
            await connection.input_audio_buffer.commit()
            async for event in connection:
                payload = event.to_dict()
                assert_valid_server_event(payload)
                events.append(payload)
                if event.type == "conversation.item.input_audio_transcription.completed":
                    break
        return events

    *earlier, completed = asyncio.run(run())
    assert word_error_rate(transcript_of("go_forward.wav"), completed["transcript"]) <= 0.15
    assert "".join(one["token"] for one in completed["logprobs"]).strip() == completed["transcript"]
    assert all(one["logprob"] <= 0 for one in completed["logprobs"])
    assert completed["languages"] == [{"code": "en"}]
    assert completed["usage"]["type"] == "duration"
    assert not [event for event in earlier if event["type"].startswith("response.")]


# --- images --------------------------------------------------------------------------------------------------------


async def answer_about(server: ServerProcess, image: Image.Image, question: str) -> dict[str, Any]:
    """Ask in text about an image; the ``response.done`` event."""
    async with (
        AsyncOpenAI(base_url=server.base_url, api_key="any") as openai,
        openai.realtime.connect(model="gpt-realtime") as connection,
    ):
        await connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
        await connection.conversation.item.create(
            item={
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_text", "text": question},
                    {"type": "input_image", "image_url": data_url(encoded(image))},
                ],
            }
        )
        await connection.response.create()
        async for event in connection:
            payload: dict[str, Any] = event.to_dict()
            assert_valid_server_event(payload)
            assert event.type != "error", payload
            if event.type == "response.done":
                return payload
    raise AssertionError("the connection ended")


@pytest.mark.parametrize(
    ("question", "facts"),
    [
        ("What is the total on the invoice, and which error is shown?", ("1009.00", "402", "expired")),
        ("What do you see in this screenshot?", ("invoice", "payment")),
    ],
)
def test_a_question_about_a_screenshot_gets_a_true_answer(
    embedded_server: ServerProcess, question: str, facts: tuple[str, ...]
) -> None:
    done = asyncio.run(answer_about(embedded_server, invoice(), question))
    assert done["response"]["status"] == "completed"
    answer = done["response"]["output"][0]["content"][0]["text"]
    assert [fact for fact in facts if fact not in answer] == [], answer
    details = done["response"]["usage"]["input_token_details"]
    assert 0 < details["image_tokens"] < details["text_tokens"] + details["image_tokens"]


def test_of_a_picture_without_text_nothing_is_invented(embedded_server: ServerProcess) -> None:
    done = asyncio.run(answer_about(embedded_server, landscape(), "What do you see in this screenshot?"))
    answer = done["response"]["output"][0]["content"][0]["text"].casefold()
    assert "text" in answer
    assert [word for word in ("sky", "hill", "sun", "tree", "person", "mountain") if word in answer.split()] == []
