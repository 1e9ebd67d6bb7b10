"""Images on their way through a session: bad ones are refused, good ones read; whatever fails, the session goes on."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from antiphon.core.limits import Limits
from antiphon.engines.errors import EngineError
from antiphon.runtime.settings import RuntimeSettings
from antiphon.testing.clock import run_virtual
from antiphon.testing.scripted import HANG, Delay, ScriptedImageReader, ScriptedLlm, Trouble
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.llm import ImageContent, LlmCapabilities, LlmRequest, TextContent, UserMessage
from tests.support.images import TINY, data_url, encoded, invoice, png_chunk, png_of
from tests.support.runtime import Client, Noted, run_session, serving

PNG = TINY["%png"]


def image(url: str = PNG, **fields: str) -> dict[str, str]:
    return {"type": "input_image", "image_url": url, **fields}


def message(*parts: dict[str, str]) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": list(parts)}


def show(client: Client, *parts: dict[str, str], **fields: Any) -> None:
    client.say("conversation.item.create", item=message(*parts), **fields)


def blind() -> ScriptedLlm:
    return ScriptedLlm(lambda _: "Well.", capabilities=LlmCapabilities(context_tokens=8192))


def said_of_images(request: LlmRequest) -> list[str]:
    messages = [one for one in request.messages if isinstance(one, UserMessage)]
    return [part.text for one in messages for part in one.content if isinstance(part, TextContent)]


def run(scenario: Callable[[Client], Any], settings: RuntimeSettings | None = None, **engines: Any) -> Noted:
    """One session that answers in text."""

    async def in_text(client: Client) -> None:
        client.update(output_modalities=["text"])
        await client.until("session.updated")
        await scenario(client)

    return run_session(in_text, settings, **engines)


BAD: dict[str, str] = {
    "an address": "http://127.0.0.1:9/a.png",
    "half of a file": data_url(encoded(invoice())[:5_000]),
    "another type": data_url(encoded(invoice().resize((8, 8)), "jpeg"), "png"),
    "too many pixels": data_url(png_of(100_000, 100_000, data=b"")),
    "too many bytes": data_url(png_of(1, 1, png_chunk(b"tEXt", bytes(10 * 2**20)))),
    "not base64": PNG[:-8] + "!!!!!!!!",
}


@pytest.mark.parametrize("url", BAD.values(), ids=BAD.keys())
def test_a_bad_image_is_one_error_at_its_place_and_nothing_is_changed(url: str) -> None:
    async def scenario(client: Client) -> None:
        show(client, {"type": "input_text", "text": "Look"}, image(url), event_id="mine")
        error = (await client.until("error"))["error"]
        assert (error["code"], error["event_id"]) == ("invalid_value", "mine")
        assert (error["type"], error["param"]) == ("invalid_request_error", "item.content[1].image_url")
        assert len(error["message"]) < 300
        client.say("response.create", event_id="other", response={"input": [message(image()), message(image(url))]})
        error = (await client.until("error", 2))["error"]
        assert (error["event_id"], error["param"]) == ("other", "response.input[1].content[0].image_url")
        client.ask("say Hello.")
        done = await client.until("response.done")
        assert done["response"]["status"] == "completed"
        assert len(client.of_type("conversation.item.added")) == 2

    observer = run(scenario)
    assert observer.codes == ["invalid_value", "invalid_value"]


def test_more_images_than_a_session_may_hold_are_not_even_decoded() -> None:
    damaged = data_url(encoded(invoice())[:5_000])

    async def scenario(client: Client) -> None:
        show(client, *[image(damaged)] * 3)
        error = (await client.until("error"))["error"]
        assert (error["code"], error["param"]) == ("invalid_value", "item.content[2].image_url")

    run(scenario, RuntimeSettings(limits=Limits(images=2)))


def test_events_behind_an_image_are_handled_after_it() -> None:
    async def scenario(client: Client) -> None:
        show(client, image(data_url(encoded(invoice()))))
        client.append(bytes(9_600))
        client.say("input_audio_buffer.clear")
        await client.until("input_audio_buffer.cleared")
        assert client.types(2) == ["conversation.item.added", "conversation.item.done", "input_audio_buffer.cleared"]

    run(scenario)


def test_images_that_are_decoded_keep_no_other_session_waiting() -> None:
    # Nothing large is decoded beside another large event, but images are not part of that.
    settings = RuntimeSettings(decode_budget_bytes=1)
    shown = image(data_url(png_of(3000, 3000, png_chunk(b"tEXt", bytes(64 * 1024)))))

    async def main() -> None:
        async with serving(settings=settings) as server:
            client, other = await server.connect(), await server.connect()
            show(client, *[shown] * 16)
            other.append(bytes(96_000))
            other.say("input_audio_buffer.clear")
            await other.until("input_audio_buffer.cleared")
            assert not client.of_type("conversation.item.added")
            await client.until("conversation.item.added")
            client.hang_up()
            other.hang_up()

    run_virtual(main())


def test_a_model_that_sees_gets_the_very_url_and_its_detail() -> None:
    llm = ScriptedLlm(lambda _: "A picture.")
    reader = ScriptedImageReader()

    async def scenario(client: Client) -> None:
        show(client, image(detail="low"))
        client.say("response.create")
        await client.until("response.done")

    run(scenario, llm=llm, image_reader=reader)
    (said,) = llm.requests[-1].messages[1:]
    assert isinstance(said, UserMessage)
    assert said.content == (ImageContent(PNG, "low"),)
    assert reader.started == 0


def test_a_model_that_does_not_see_gets_what_was_read() -> None:
    llm, reader = blind(), ScriptedImageReader(["Total: 12 EUR"], delay_s=2)

    async def scenario(client: Client) -> None:
        show(client, {"type": "input_text", "text": "What is this?"}, image(detail="high"))
        client.say("response.create")
        await client.until("response.created")
        assert not llm.requests
        usage = (await client.until("response.done"))["response"]["usage"]
        details = usage["input_token_details"]
        assert details["image_tokens"] > 20
        assert details["image_tokens"] + details["text_tokens"] == usage["input_tokens"]

    run(scenario, llm=llm, image_reader=reader)
    question, words = said_of_images(llm.requests[-1])
    assert question == "What is this?"
    assert "4 x 3 pixels" in words
    assert "Total: 12 EUR" in words
    assert list(reader.images) == [ImageContent(PNG, "high")]


def test_without_a_reader_the_model_is_told_that_it_cannot_see() -> None:
    llm = blind()

    async def scenario(client: Client) -> None:
        show(client, image())
        client.say("response.create")
        await client.until("response.done")

    run(scenario, llm=llm)
    assert "You cannot see pictures" in said_of_images(llm.requests[-1])[0]


TROUBLES: list[tuple[Trouble, EngineErrorKind]] = [
    (EngineError(EngineErrorKind.FAILED, "failed as told"), EngineErrorKind.FAILED),
    (EngineError(EngineErrorKind.OVERLOADED, "busy"), EngineErrorKind.OVERLOADED),
    (RuntimeError("/a/path"), EngineErrorKind.FAILED),
    (HANG, EngineErrorKind.TIMEOUT),
]


@pytest.mark.parametrize(("trouble", "kind"), TROUBLES, ids=["fails", "is busy", "crashes", "hangs"])
def test_a_reader_that_fails_is_counted_and_the_answer_comes(trouble: Trouble, kind: EngineErrorKind) -> None:
    llm = blind()

    async def scenario(client: Client) -> None:
        show(client, image())
        client.say("response.create")
        assert (await client.until("response.done"))["response"]["status"] == "completed"

    observer = run(scenario, llm=llm, image_reader=ScriptedImageReader([trouble] * 2))
    assert "could not be read" in said_of_images(llm.requests[-1])[0]
    assert observer.engine_failures == [("image", kind)]


def test_a_session_reads_one_image_at_a_time() -> None:
    reader, llm = ScriptedImageReader(delay_s=1), blind()

    async def scenario(client: Client) -> None:
        show(client, *[image()] * 4)
        client.say("response.create")
        await client.until("response.done")
        assert 4 <= asyncio.get_running_loop().time() < 5

    run(scenario, llm=llm, image_reader=reader)
    assert (reader.finished, reader.most_running) == (4, 1)


def test_nobody_reads_on_for_an_item_or_a_session_that_is_gone() -> None:
    reader, llm = ScriptedImageReader([Delay(30)] * 9), blind()

    async def scenario(client: Client) -> None:
        client.say("conversation.item.create", item={**message(image()), "id": "a"})
        await client.until("conversation.item.done")
        client.say("conversation.item.delete", item_id="a")
        await client.until("conversation.item.deleted")
        show(client, *[image()] * 3)
        await client.until("conversation.item.done", 2)

    run(scenario, llm=llm, image_reader=reader)
    assert (reader.running, reader.finished) == (0, 0)


def test_no_event_exceeds_a_frame_whatever_the_image() -> None:
    noise = Image.effect_noise((1_600, 1_200), 90)
    url = data_url(encoded(noise))
    assert len(url) > 1_500_000

    async def scenario(client: Client) -> None:
        client.say("conversation.item.create", item={**message(image(url)), "id": "a"})
        client.say("conversation.item.retrieve", item_id="a")
        await client.until("conversation.item.retrieved")
        shown = [event["item"]["content"][0]["image_url"] for event in client.events if "item" in event]
        assert shown == ["data:image/png;base64,"] * 3
        assert max(map(len, client.frames)) < Limits().frame_bytes
        show(client, image())
        await client.until("conversation.item.done", 2)
        assert json.loads(client.frames[-1])["item"]["content"][0]["image_url"] == PNG

    run(scenario)
