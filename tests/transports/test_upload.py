"""One event that came by HTTP, as a connection of its own."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from antiphon.runtime.transport import TransportClosedError
from antiphon.transports.upload import ItemUpload, UploadError

OTHERS = {"type": "conversation.item.added", "item": {"id": "item_other"}}
DONE = {"type": "conversation.item.done", "item": {"id": "item_1"}}
ADDED = {"type": "conversation.item.added", "item": {"id": "item_1"}}
REFUSED = {"type": "error", "error": {"type": "invalid_request_error", "code": "c", "message": "m", "param": "p"}}


@pytest.mark.parametrize(
    ("told", "added", "error"),
    [
        ([OTHERS, DONE, ADDED], True, None),
        ([ADDED, REFUSED], True, None),
        ([OTHERS, REFUSED, ADDED], False, UploadError("m", "invalid_request_error", "c", "p")),
    ],
)
def test_an_upload_is_over_with_the_first_answer_to_it(
    told: Sequence[dict[str, Any]], added: bool, error: UploadError | None
) -> None:
    async def scenario() -> None:
        upload = ItemUpload("the event", "item_1")
        assert await upload.receive() == "the event"
        for event in told:
            await upload.send([json.dumps(event).encode()])
        with pytest.raises(TransportClosedError) as caught:
            await upload.receive()
        assert caught.value.clean
        assert (upload.added, upload.error) == (added, error)

    asyncio.run(scenario())


def test_an_upload_ends_with_its_session() -> None:
    async def scenario() -> None:
        upload = ItemUpload("the event", "item_1")
        await upload.receive()
        await upload.close(1001, "")
        with pytest.raises(TransportClosedError):
            await upload.receive()
        assert not upload.added

    asyncio.run(scenario())
