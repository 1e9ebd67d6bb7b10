"""The contract of image readers."""

import struct
import zlib
from base64 import b64encode
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import numpy as np

from antiphon.engines.base import CallContext, ImageReader
from antiphon.testing.conformance.calls import Calls, check_of, common_checks, lifecycle_checks
from antiphon.testing.conformance.check import Check, Material, context, require, tolerated
from antiphon.vocabulary.images import ImageReading, TextLine
from antiphon.vocabulary.llm import ImageContent

__all__ = ["checks"]

_GREY = 200
_RIM = 0.05
"""How far outside the image a line's box may reach."""


async def an_image_without_text_has_no_lines(engine: ImageReader, material: Material) -> None:
    """What is not there is not found: a grey area has no lines of text."""
    reading = await engine.read(_image(640, 480), context=context())
    _require_reading(reading)
    require(not reading.lines, f"{reading.lines!r} was read in a grey area")


async def any_size_is_read(engine: ImageReader, material: Material) -> None:
    """One pixel, a narrow strip and a large picture give a reading or an EngineError."""
    for width, height in ((1, 1), (2000, 8), (8, 2000), (1600, 1200)):
        reading = await tolerated(engine.read(_image(width, height), context=context()))
        if reading is not None:
            _require_reading(reading)


async def data_that_is_no_image_is_refused(engine: ImageReader, material: Material) -> None:
    """Data that cannot be decoded is an EngineError."""
    for data in (b"", b"\x89PNG\r\n\x1a\n", _png(64, 64)[:60]):
        url = f"data:image/png;base64,{b64encode(data).decode()}"
        reading = await tolerated(engine.read(ImageContent(url), context=context()))
        require(reading is None, f"{reading!r} was read from data that is no image")


def checks() -> Sequence[Check]:
    first, last = lifecycle_checks()
    rules = (an_image_without_text_has_no_lines, any_size_is_read, data_that_is_no_image_is_refused)
    return (first, *common_checks(_CALLS), *map(check_of, rules), last)


async def _read(engine: ImageReader, material: Material, context: CallContext) -> AsyncGenerator[ImageReading, None]:
    yield await engine.read(_image(320, 200), context=context)


async def _read_much(
    engine: ImageReader, material: Material, context: CallContext
) -> AsyncGenerator[ImageReading, None]:
    yield await engine.read(_image(1600, 1200), context=context)


def _hold(engine: ImageReader, results: list[Any], material: Material) -> None:
    for reading in results:
        _require_reading(reading)


def _require_reading(reading: object) -> None:
    require(isinstance(reading, ImageReading), f"read() returned {reading!r}, no ImageReading")
    if isinstance(reading, ImageReading):
        require(all(isinstance(colour, str) for colour in reading.colours), f"colours are {reading.colours!r}")
        for line in reading.lines:
            _require_line(line)


def _require_line(line: TextLine) -> None:
    require(isinstance(line.text, str), f"the text of {line!r} is no text")
    for low, high in ((line.left, line.right), (line.top, line.bottom)):
        require(-_RIM <= low <= high <= 1 + _RIM, f"the box of {line!r} is not within 0..1")


_CALLS = Calls(plain=_read, long=_read, heavy=_read_much, judge=_hold, streams=False)


def _image(width: int, height: int) -> ImageContent:
    return ImageContent(f"data:image/png;base64,{b64encode(_png(width, height)).decode()}")


def _png(width: int, height: int) -> bytes:
    rows = np.full((height, 1 + width), _GREY, np.uint8)
    rows[:, 0] = 0  # the filter of each row
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
