"""The official Python client makes a call at a server process, steers it from the side and hangs up."""

import asyncio
from typing import Any

import pytest
from openai import AsyncOpenAI, NotFoundError

from tests.support.rtc_caller import calling
from tests.support.server import ServerProcess

pytestmark = pytest.mark.e2e


def test_the_official_client_makes_steers_and_ends_a_call(scripted_server: ServerProcess) -> None:
    asyncio.run(_scenario(scripted_server.base_url))


async def _scenario(base_url: str) -> None:
    client = AsyncOpenAI(base_url=base_url, api_key="any")
    location = ""

    async def signal(offer: str) -> str:
        nonlocal location
        session: Any = {"type": "realtime", "instructions": "Be brief.", "output_modalities": ["text"]}
        answer = await client.realtime.calls.with_raw_response.create(sdp=offer, session=session)
        location = answer.headers["location"]
        return answer.parse().text

    async with calling(signal) as caller, asyncio.timeout(30):
        await caller.connect()
        assert '"instructions":"Be brief."' in str(await caller.message())
        call_id = location.rpartition("/")[2]
        async with client.realtime.connect(call_id=call_id) as connection:
            await connection.conversation.item.create(
                item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
            )
            await connection.response.create()
            types = []
            async for event in connection:
                types.append(event.type)
                if event.type == "response.output_text.done":
                    assert event.text == "You said: hello"
                if event.type == "response.done":
                    break
        assert types[0] == "conversation.item.added"
        while '"type":"response.done"' not in str(await caller.message()):
            pass  # the call's own channel is told the same
        await client.realtime.calls.hangup(call_id)
        await caller.ended.wait()
        with pytest.raises(NotFoundError):
            await client.realtime.calls.hangup(call_id)
    await client.close()
