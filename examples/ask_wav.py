"""Ask the question that a wav file holds, write the spoken answer to another: the official SDK, pointed at antiphon.

    pip install "openai[realtime]"
    python examples/ask_wav.py question.wav answer.wav

The server is the one in OPENAI_BASE_URL, else http://127.0.0.1:8000/v1. The question: any mono 16-bit wav at 24000 Hz
(others: ``sox question.wav -r 24000 -c 1 -b 16 converted.wav``).
"""

import asyncio
import base64
import os
import sys
import wave

from openai import AsyncOpenAI

RATE_HZ = 24_000


def read_wav(path: str) -> bytes:
    try:
        with wave.open(path) as file:
            if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (RATE_HZ, 1, 2):
                sys.exit(f"{path}: expected mono, 16 bits, {RATE_HZ} Hz")
            return bytes(file.readframes(file.getnframes()))
    except (OSError, EOFError, wave.Error) as error:
        sys.exit(f"{path} cannot be read: {error}")


def write_wav(path: str, pcm: bytes) -> None:
    with wave.open(path, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(pcm)


async def ask(question: bytes) -> bytes:
    client = AsyncOpenAI(
        base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
        api_key=os.environ.get("OPENAI_API_KEY", "any"),
    )
    async with client.realtime.connect(model="gpt-realtime") as connection:
        await connection.session.update(
            session={
                "type": "realtime",
                "audio": {"input": {"turn_detection": None, "transcription": {"model": "whisper-1"}}},
            }
        )
        for start in range(0, len(question), RATE_HZ):
            chunk = question[start : start + RATE_HZ]
            await connection.input_audio_buffer.append(audio=base64.b64encode(chunk).decode())
        await connection.input_audio_buffer.commit()
        await connection.response.create()

        answer = bytearray()
        async for event in connection:
            if event.type == "conversation.item.input_audio_transcription.completed":
                print("question:", event.transcript)
            elif event.type == "response.output_audio.delta":
                answer += base64.b64decode(event.delta)
            elif event.type == "response.output_audio_transcript.done":
                print("answer:  ", event.transcript)
            elif event.type == "error":
                sys.exit(event.error.message)
            elif event.type == "response.done":
                if event.response.status != "completed":
                    sys.exit(f"the response ended as {event.response.status}")
                return bytes(answer)
    sys.exit("the connection was closed before the answer was complete")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: ask_wav.py QUESTION.wav ANSWER.wav")
    write_wav(sys.argv[2], asyncio.run(ask(read_wav(sys.argv[1]))))
