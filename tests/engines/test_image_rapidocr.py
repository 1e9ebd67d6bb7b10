"""RapidOCR: what it finds in pictures, without any network, and how it ends."""

import asyncio
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageFont

from antiphon.core.image_words import image_words
from antiphon.engines.base import CallContext
from antiphon.engines.errors import EngineError, EngineSettingsError
from antiphon.engines.image_rapidocr import RapidOcr, create
from antiphon.images.head import read_head
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.images import ImageReading
from antiphon.vocabulary.llm import ImageContent
from tests.support.images import data_url, encoded, invoice, landscape

pytestmark = pytest.mark.engines
CONTEXT = CallContext("sess_1")


@pytest.fixture(scope="module")
def reader() -> Iterator[RapidOcr]:
    reader = create({"preload": False})
    yield reader
    asyncio.run(reader.aclose())


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("the engine asks the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def read(reader: RapidOcr, image: Image.Image, kind: str = "png") -> ImageReading:
    return asyncio.run(reader.read(ImageContent(data_url(encoded(image, kind), kind)), context=CONTEXT))


def test_nothing_is_loaded_before_the_first_image() -> None:
    loaded = "rapidocr" in sys.modules
    reader = create({})
    asyncio.run(reader.warm_up())
    assert ("rapidocr" in sys.modules) == loaded
    asyncio.run(reader.aclose())


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_every_line_of_a_screenshot_is_read_where_it_stands(reader: RapidOcr, kind: str) -> None:
    reading = read(reader, invoice(), kind)
    # A space between narrow letters may get lost.
    texts = {line.text.replace(" ", ""): line for line in reading.lines}
    for text in ("NorthwindBilling", "Invoice#20391", "EUR960.00", "Total:EUR1009.00", "Retrypayment"):
        assert text in texts
    error = texts["Error402:paymentfailed,thecardhasexpired"]
    assert (round(error.left, 1), round(error.top, 1), error.bottom < 0.8) == (0.0, 0.7, True)
    assert set(reading.colours) >= {"white", "blue"}
    assert reading.is_complete


def test_the_words_of_a_screenshot_keep_its_rows_and_its_order(reader: RapidOcr) -> None:
    image = invoice()
    words = image_words(read_head(data_url(encoded(image))), read(reader, image), 3_000).splitlines()
    assert "Invoice #20391 | Date: 2026-03-14" in words
    assert "Design work, 12 hours | EUR 960.00" in words
    order = ["At the top:", "Northwind Billing", "In the middle:", "Total: EUR 1009.00", "At the bottom:"]
    assert [line for line in words if line in order] == order


def test_in_a_picture_without_text_nothing_is_read(reader: RapidOcr) -> None:
    reading = read(reader, landscape())
    assert reading.lines == ()
    assert any("blue" in colour for colour in reading.colours)


@pytest.mark.parametrize("size", [(4_000_000, 1), (1, 4_000_000)], ids=["wide", "tall"])
def test_a_picture_that_is_hardly_more_than_a_line_costs_no_more_than_others(
    reader: RapidOcr, size: tuple[int, int]
) -> None:
    image = ImageContent(data_url(encoded(Image.new("RGB", size, "white"))))
    reading = asyncio.run(reader.read(image, context=CallContext("session", deadline_s=15)))
    assert reading.lines == ()


def test_a_long_page_is_read_to_its_end_each_line_once(reader: RapidOcr) -> None:
    page = Image.new("RGB", (900, 3_600), "white")
    draw = ImageDraw.Draw(page)
    for number in range(20):
        draw.text((30, 40 + 173 * number), f"Paragraph {number} of the page", font=ImageFont.load_default(18), fill=0)
    lines = [line.text for line in sorted(read(reader, page).lines, key=lambda line: line.top)]
    assert lines == [f"Paragraph {number} of the page" for number in range(20)]


def test_lines_beyond_the_limit_are_left_out_and_said_to_be() -> None:
    reader = create({"max_lines": 3})
    reading = read(reader, invoice())
    assert len(reading.lines) == 3
    assert not reading.is_complete
    asyncio.run(reader.aclose())


def test_a_reading_that_takes_too_long_is_a_timeout(reader: RapidOcr) -> None:
    image = ImageContent(data_url(encoded(invoice())))
    with pytest.raises(EngineError) as failure:
        asyncio.run(reader.read(image, context=CallContext("sess_1", deadline_s=0.001)))
    assert failure.value.kind is EngineErrorKind.TIMEOUT


def test_an_option_that_is_not_there_is_refused() -> None:
    with pytest.raises(EngineSettingsError, match="did you mean threads"):
        create({"thread": 2})
