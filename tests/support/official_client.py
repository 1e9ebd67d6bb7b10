"""The official Python client, with every event that it gets checked."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import RealtimeConversationItemUserMessageParam

from antiphon.testing.wire import assert_valid_server_event
from tests.support.audio import chunks
from tests.support.server import ServerProcess

__all__ = ["Client", "connected"]


class Client:
    """The official connection, with every event checked and kept."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        self.connection = connection
        self.events: list[dict[str, Any]] = []

    async def next(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(await asyncio.wait_for(self.connection.recv_bytes(), 20))
        assert_valid_server_event(event)
        self.events.append(event)
        return event

    async def until(self, type: str) -> dict[str, Any]:
        while (event := await self.next())["type"] != type:
            pass
        return event

    async def say(self, text: str) -> None:
        item = RealtimeConversationItemUserMessageParam(
            type="message", role="user", content=[{"type": "input_text", "text": text}]
        )
        await self.connection.conversation.item.create(item=item)

    async def speak(self, pcm: bytes) -> None:
        for chunk in chunks(pcm, 100):
            await self.connection.input_audio_buffer.append(audio=base64.b64encode(chunk).decode())

    @property
    def types(self) -> list[str]:
        """Types of all events so far, runs of the same type as one."""
        types = [event["type"] for event in self.events]
        return [one for index, one in enumerate(types) if index == 0 or types[index - 1] != one]

    def audio(self) -> bytes:
        deltas = [event["delta"] for event in self.events if event["type"] == "response.output_audio.delta"]
        return b"".join(base64.b64decode(delta) for delta in deltas)


@asynccontextmanager
async def connected(server: ServerProcess) -> AsyncIterator[Client]:
    async with (
        AsyncOpenAI(base_url=server.base_url, api_key="any") as openai,
        openai.realtime.connect(model="gpt-realtime") as connection,
    ):
        client = Client(connection)
        assert (await client.next())["type"] == "session.created"
        yield client
