"""Pictures in messages."""

import json
from typing import Any

from antiphon.conform.check import Level, Need, Rules, require
from antiphon.conform.probe import Probe, png

__all__ = ["RULES"]

RULES = Rules("images", "Images")

_GUIDE = "Guide 'Realtime conversations', image input"
_PART = "API reference, client events, conversation.item.create, input_image"


def _picture(url: str, **fields: Any) -> dict[str, Any]:
    parts = [
        {"type": "input_text", "text": "What is in this picture?"},
        {"type": "input_image", "image_url": url, **fields},
    ]
    return {"type": "message", "role": "user", "content": parts}


@RULES.check("accepted", "A message with a PNG in a data URL is added", _PART, Need.IMAGES)
async def accepted(probe: Probe) -> None:
    async with probe.connect() as connection:
        item_id = await connection.create(_picture(png()))
        event = await connection.expect("conversation.item.added")
        types = [part.get("type") for part in event["item"]["content"]]
        require(event["item"].get("id") == item_id and types[0] == "input_text", "the item, with its text", types)


@RULES.check("detail", "detail low, high and auto are accepted", f"{_PART}, detail", Need.IMAGES)
async def detail(probe: Probe) -> None:
    async with probe.connect() as connection:
        for level in ("low", "high", "auto"):
            await connection.create(_picture(png(), detail=level))
            await connection.expect("conversation.item.added")


@RULES.check("answered", "A message with a picture is answered", _GUIDE, Need.IMAGES)
async def answered(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.create(_picture(png()))
        response = (await connection.respond(output_modalities=["text"]))[-1]["response"]
        got = (response.get("status"), bool(response.get("output")))
        require(got == ("completed", True), "completed, with output", got)


async def _refused(url: str, probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.refusal("conversation.item.create", item=_picture(url))


@RULES.check("no-url", "An image_url that is no URL at all is refused", _PART, Need.IMAGES)
async def no_url(probe: Probe) -> None:
    await _refused("what is this", probe)


@RULES.check("missing-url", "An image part without image_url is refused", _PART, Need.IMAGES)
async def missing_url(probe: Probe) -> None:
    async with probe.connect() as connection:
        item = {"type": "message", "role": "user", "content": [{"type": "input_image"}]}
        await connection.refusal("conversation.item.create", item=item)


@RULES.check("bad-base64", "An image that is no base64 is refused", _PART, Need.IMAGES, level=Level.RECOMMENDED)
async def bad_base64(probe: Probe) -> None:
    await _refused("data:image/png;base64,*?*", probe)


@RULES.check("big-frames", "A big picture makes no frame of 1 MiB", "observed: some clients close beyond", Need.IMAGES)
async def big_frames(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.create(_picture(png(640, 480, compressed=False)))
        event = await connection.expect("conversation.item.added")
        size_bytes = len(json.dumps(event))
        require(size_bytes < 2**20, f"below {2**20} bytes", size_bytes)
