"""What a client can make grow has a bound: at the bound it works, beyond it one error comes, and nothing is lost."""

import asyncio
import base64
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.support.audio import tone_ms
from tests.support.images import data_url, png_chunk, png_of
from tests.support.server import ServerProcess, running_server
from tests.support.wire_client import WireClient, append, connected, message, metrics, sessions_gone, update

pytestmark = pytest.mark.e2e

TIGHT = {
    "max_sessions": 4,
    "events_per_s": 2000,
    "limits.items": 8,
    "limits.parts_per_item": 2,
    "limits.text_bytes": 4096,
    "limits.image_bytes": 4096,
    "limits.tools": 2,
    "limits.tools_bytes": 1024,
    "limits.instructions_bytes": 1024,
    "limits.nesting": 16,
    "limits.out_of_band_responses": 0,
    "session_audio_bytes": 1 << 20,
}


@pytest.fixture(scope="module")
def tight_server() -> Iterator[ServerProcess]:
    settings = [word for name, value in TIGHT.items() for word in ("--set", f"{name}={value}")]
    with running_server(["--engine", "scripted", *settings]) as server:
        yield server


def _tool(**parameters: Any) -> dict[str, Any]:
    return {"type": "function", "name": "f", "parameters": parameters}


def _image(characters: int) -> dict[str, Any]:
    """An image whose data URL has that length, but for its last group of four characters."""
    file_bytes = (characters - len("data:image/png;base64,")) // 4 * 3
    padding = file_bytes - len(png_of(1, 1, png_chunk(b"tEXt", b"")))
    url = data_url(png_of(1, 1, png_chunk(b"tEXt", bytes(padding))))
    return message(content=[{"type": "input_image", "image_url": url}])


def _nested(levels: int) -> str:
    return '{"type":"input_audio_buffer.clear","x":' + "[" * (levels - 1) + "]" * (levels - 1) + "}"


FITS: dict[str, tuple[Any, Any, str]] = {
    "parts": (
        message(content=[{"type": "input_text", "text": "x"}] * 2),
        message(content=[{"type": "input_text", "text": "x"}] * 3),
        "item.content",
    ),
    "text": (message("x" * 3000), message("x" * 5000), "item"),
    "text beyond ASCII": (message("é" * 1500), message("é" * 2500), "item"),
    "images": (_image(4096), _image(4100), "item"),
    "tools": (
        update(tools=[_tool(), _tool() | {"name": "g"}]),
        update(tools=[_tool(), _tool() | {"name": "g"}, _tool() | {"name": "h"}]),
        "session.tools",
    ),
    "schemas": (update(tools=[_tool(a="x" * 900)]), update(tools=[_tool(a="x" * 1024)]), "session.tools"),
    "instructions": (update(instructions="x" * 1000), update(instructions="x" * 1030), "session.instructions"),
    "instructions beyond ASCII": (
        update(instructions="é" * 500),
        update(instructions="é" * 520),
        "session.instructions",
    ),
    "nesting": (_nested(16), _nested(17), "x"),
}


@pytest.mark.parametrize("bound", FITS)
def test_a_bound_is_where_the_settings_put_it(tight_server: ServerProcess, bound: str) -> None:
    fits, does_not, param = FITS[bound]

    async def run() -> None:
        async with connected(tight_server) as client:
            error = await client.refusal(does_not)
            assert error["param"] == param
            await client.send(fits)
            assert (await client.next())["type"] != "error"
        async with connected(tight_server) as client:
            await client.refusal(does_not)
            await client.assert_works()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("each", "param"),
    [(message("x" * 1000), "item"), (_image(2000), "item")],
    ids=["text", "images"],
)
def test_bounds_of_a_conversation_count_all_its_items(
    tight_server: ServerProcess, each: dict[str, Any], param: str
) -> None:
    async def run() -> None:
        async with connected(tight_server) as client:
            created = []
            for _ in range(8):
                await client.send(each)
                event = await client.next()
                if event["type"] == "error":
                    break
                created.append(event["item"]["id"])
                await client.until("conversation.item.done")
            assert event["error"]["param"] == param
            assert 2 <= len(created) <= 4
            await client.send({"type": "conversation.item.delete", "item_id": created[0]})
            await client.until("conversation.item.deleted")
            await client.send(each)
            assert (await client.next())["type"] == "conversation.item.added"

    asyncio.run(run())


def test_a_full_conversation_takes_no_items_but_still_takes_turns(tight_server: ServerProcess) -> None:
    async def run() -> None:
        async with connected(tight_server) as client:
            ids = [f"item_{number}" for number in range(8)]
            for item_id in ids:
                await client.send(message(id=item_id))
                await client.until("conversation.item.done")
            assert (await client.refusal(message() | {"event_id": "mine"}))["event_id"] == "mine"
            await client.send({"type": "response.create"})
            assert (await client.until("conversation.item.deleted"))["item_id"] == ids[0]
            assert (await client.until("response.done"))["response"]["status"] == "completed"

    asyncio.run(run())


def test_items_may_come_and_go_without_end(tight_server: ServerProcess) -> None:
    async def run() -> None:
        async with connected(tight_server) as client:
            for number in range(2_000):
                await client.send(message(id=f"item_{number}"))
                await client.send({"type": "conversation.item.delete", "item_id": f"item_{number}"})
            for _ in range(2_000):
                types = [(await client.next())["type"].rpartition(".")[2] for _ in range(3)]
                assert types == ["added", "done", "deleted"]
            await client.assert_works()

    asyncio.run(run())


def test_no_response_runs_beside_the_conversation_where_none_may(tight_server: ServerProcess) -> None:
    async def run() -> None:
        async with connected(tight_server) as client:
            error = await client.refusal({"type": "response.create", "response": {"conversation": "none"}})
            assert error["code"] == "too_many_active_responses"
            await client.assert_works()

    asyncio.run(run())


def test_sessions_beyond_the_last_place_get_the_apis_429_before_the_handshake_ends(
    tight_server: ServerProcess,
) -> None:
    async def try_one() -> tuple[int, Any, dict[str, Any]]:
        with pytest.raises(InvalidStatus) as caught:
            async with connected(tight_server):
                pass
        response = caught.value.response
        return response.status_code, response.headers["Retry-After"], json.loads(response.body)["error"]

    async def run() -> None:
        await sessions_gone(tight_server)
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(connected(tight_server)) for _ in range(4)]
            async with asyncio.TaskGroup() as tasks:
                tries = [tasks.create_task(try_one()) for _ in range(100)]
            for one in tries:
                status, retry_after, error = one.result()
                assert (status, error["type"], error["code"]) == (429, "rate_limit_error", "rate_limit_exceeded")
                assert int(retry_after) > 0
            assert (await metrics(tight_server))['antiphon_refusals_total{reason="capacity"}'] == 100
            for client in clients:
                await client.assert_works()
        await sessions_gone(tight_server)
        async with connected(tight_server) as client:
            await client.assert_works()

    asyncio.run(run())


async def _retrieved(client: WireClient, item_id: str) -> bool:
    """Whether the item's audio is still there."""
    await client.send({"type": "conversation.item.retrieve", "item_id": item_id})
    item = (await client.until("conversation.item.retrieved"))["item"]
    return "audio" in item["content"][0]


def test_audio_of_the_newest_items_is_kept_and_that_of_older_ones_dropped(tight_server: ServerProcess) -> None:
    five_s = base64.b64encode(tone_ms(5_000)).decode()

    async def run() -> None:
        async with connected(tight_server) as client:
            await client.send(update(audio={"input": {"turn_detection": None}}))
            await client.until("session.updated")
            ids = []
            for _ in range(6):
                await client.send(append(five_s))
                await client.send({"type": "input_audio_buffer.commit"})
                ids.append((await client.until("conversation.item.done"))["item"]["id"])
            kept = [await _retrieved(client, item_id) for item_id in ids]
            assert kept == [False, False, False, False, True, True]
            await client.assert_works()

    asyncio.run(run())


def test_a_manual_buffer_keeps_its_newest_audio(tight_server: ServerProcess) -> None:
    async def run() -> None:
        async with connected(tight_server) as client:
            await client.send(update(audio={"input": {"turn_detection": None}}))
            await client.until("session.updated")
            await client.send(append(base64.b64encode(tone_ms(30_000)).decode()))
            await client.send({"type": "input_audio_buffer.commit"})
            item_id = (await client.until("conversation.item.done"))["item"]["id"]
            await client.send({"type": "conversation.item.retrieve", "item_id": item_id})
            item = (await client.until("conversation.item.retrieved"))["item"]
            assert len(base64.b64decode(item["content"][0]["audio"])) == TIGHT["session_audio_bytes"] // 2

    asyncio.run(run())
