"""Microseconds per decoded and encoded event: ``python bench/codec.py``.

The appends are compared with msgspec's plain typed decoder, the least that decoding can cost.
"""

import json
import random
import sys
import timeit
from base64 import b64encode
from collections.abc import Callable
from functools import partial

import msgspec

from antiphon.protocol.client_events import ClientEvent
from antiphon.protocol.codec import decode_client_event, decode_server_event, encode_server_event
from antiphon.protocol.server_events import ResponseOutputAudioDelta, ResponseOutputTextDelta, ServerEvent

_BYTES_PER_MS = 48
_REPEATS = 5

_TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "Look up the weather of a place.",
    "parameters": {
        "type": "object",
        "properties": {"place": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 10}},
        "required": ["place"],
    },
}
_SESSION_UPDATE = {
    "type": "session.update",
    "event_id": "event_1",
    "session": {
        "type": "realtime",
        "instructions": "You are a helpful assistant. " * 20,
        "output_modalities": ["audio"],
        "tools": [_TOOL, _TOOL, _TOOL],
        "tool_choice": "auto",
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "transcription": {"model": "whisper-1"},
                "turn_detection": {"type": "server_vad", "threshold": 0.5, "silence_duration_ms": 500},
            },
            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin", "speed": 1.0},
        },
    },
}
_TEXT_ITEM = {
    "type": "conversation.item.create",
    "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "What time is it?"}]},
}


def measured_us(*calls: Callable[[], object]) -> list[float]:
    """The fastest of several runs of each call, in microseconds; the runs alternate so that noise hits all alike."""
    timers = [timeit.Timer(call) for call in calls]
    counts = [timer.autorange()[0] for timer in timers]
    runs = [
        [timer.timeit(count) / count * 1e6 for timer, count in zip(timers, counts, strict=True)]
        for _ in range(_REPEATS)
    ]
    return [min(figures) for figures in zip(*runs, strict=True)]


def append_text(duration_ms: int) -> str:
    pcm = random.Random(duration_ms).randbytes(duration_ms * _BYTES_PER_MS)
    return json.dumps({"type": "input_audio_buffer.append", "audio": b64encode(pcm).decode()})


def server_events() -> dict[str, ServerEvent]:
    event_id, response_id, item_id = "event_1", "resp_1", "item_1"
    text_delta = ResponseOutputTextDelta(
        event_id=event_id,
        response_id=response_id,
        item_id=item_id,
        output_index=0,
        content_index=0,
        delta="Hello there",
        obfuscation="abcdefgh",
    )
    audio_delta = ResponseOutputAudioDelta(
        event_id=event_id,
        response_id=response_id,
        item_id=item_id,
        output_index=0,
        content_index=0,
        delta=bytes(100 * _BYTES_PER_MS),
    )
    return {"text delta": text_delta, "audio delta 100 ms": audio_delta}


def main() -> None:
    plain = msgspec.json.Decoder(ClientEvent)
    client_texts = {
        "append 20 ms": append_text(20),
        "append 100 ms": append_text(100),
        "session.update": json.dumps(_SESSION_UPDATE),
        "conversation.item.create": json.dumps(_TEXT_ITEM),
    }
    for name, text in client_texts.items():
        ours, least = measured_us(partial(decode_client_event, text), partial(plain.decode, text))
        sys.stdout.write(f"decode {name:28} {ours:8.2f} us   {ours / least:5.2f} x plain msgspec\n")
    for name, event in server_events().items():
        encode, decode = measured_us(
            partial(encode_server_event, event), partial(decode_server_event, encode_server_event(event))
        )
        sys.stdout.write(f"encode {name:28} {encode:8.2f} us   decoded by our client in {decode:.2f} us\n")


if __name__ == "__main__":
    main()
