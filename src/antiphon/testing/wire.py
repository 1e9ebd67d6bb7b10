"""Is an emitted event what clients of the Realtime API can read?

``assert_valid_server_event`` checks one event, as plain values, against the official ``openai`` types in strict mode
(openai-agents-python drops what they refuse), against the table of the API's fields (which also finds misspelt and
invented fields), and against what real clients were seen to break on. It needs the ``openai`` package.
"""

import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from antiphon.conform.shapes import item_complaints, table_complaints

__all__ = ["assert_valid_server_event", "complaints_about_server_event"]

_FRAME_BYTES_MAX: Final = 2**20
"""Some clients close the connection at a larger frame."""
_RETRIEVED_FRAME_BYTES_MAX: Final = 16 * 2**20


def assert_valid_server_event(payload: Mapping[str, Any]) -> None:
    """Fail with a list of complaints unless clients can read this event (its JSON text, parsed)."""
    complaints = complaints_about_server_event(payload)
    assert not complaints, f"invalid {payload.get('type')} event:\n" + "\n".join(complaints)


def complaints_about_server_event(payload: Mapping[str, Any]) -> list[str]:
    """All that is wrong with this server event; empty if clients can read it."""
    return [
        *_frame_complaints(payload),
        *table_complaints(payload),
        *_official_complaints(payload),
        *item_complaints(payload),
    ]


def _frame_complaints(payload: Mapping[str, Any]) -> Iterator[str]:
    limit = _RETRIEVED_FRAME_BYTES_MAX if payload.get("type") == "conversation.item.retrieved" else _FRAME_BYTES_MAX
    size_bytes = len(json.dumps(payload, ensure_ascii=False).encode())
    if size_bytes > limit:
        yield f"a frame of {size_bytes} bytes; at most {limit} reach every client"


@functools.cache
def _official_type() -> Any:
    from typing import Annotated

    from openai.types.realtime import RealtimeServerEvent
    from pydantic import Field, TypeAdapter

    return TypeAdapter(Annotated[RealtimeServerEvent, Field(discriminator="type")])


def _official_complaints(payload: Mapping[str, Any]) -> Iterator[str]:
    from pydantic import ValidationError

    try:
        _official_type().validate_python(dict(payload), strict=True)
    except ValidationError as error:
        for one in error.errors(include_url=False):
            yield f"official types: {'.'.join(map(str, one['loc']))}: {one['msg']}"
