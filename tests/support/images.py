"""Images drawn by the tests, and their data URLs."""

import base64
import struct
import zlib
from io import BytesIO
from typing import Any, Final

from PIL import Image, ImageDraw, ImageFont

__all__ = ["TINY", "data_url", "encoded", "invoice", "landscape", "png_chunk", "png_of"]


def data_url(file: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(file).decode()}"


def encoded(image: Image.Image, kind: str = "png", **options: Any) -> bytes:
    """The image as a file."""
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int, *between: bytes, data: bytes | None = None) -> bytes:
    """A grey PNG by hand, ``between`` its header and its data; ``data`` None: just what the size asks for."""
    rows = zlib.compress(bytes((1 + width) * height)) if data is None else data
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"".join((b"\x89PNG\r\n\x1a\n", head, *between, png_chunk(b"IDAT", rows), png_chunk(b"IEND", b"")))


TINY: Final = {
    f"%{kind}": data_url(encoded(Image.new("RGB", (4, 3), "white"), kind), kind) for kind in ("png", "jpeg", "webp")
}
"""What ``%png``, ``%jpeg`` and ``%webp`` mean in a scenario: an image of 4 x 3 pixels."""


def invoice() -> Image.Image:
    """A screenshot of 1280 x 800 with an invoice, its total, and an error message."""
    image = Image.new("RGB", (1280, 800), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 1280, 70), fill=(30, 60, 140))
    draw.rectangle((40, 560, 1240, 660), fill=(255, 220, 220), outline="red")
    for x, y, size, colour, text in (
        (40, 18, 30, "white", "Northwind Billing"),
        (40, 120, 34, "black", "Invoice #20391"),
        (900, 120, 24, "black", "Date: 2026-03-14"),
        (40, 220, 24, "black", "Design work, 12 hours"),
        (900, 220, 24, "black", "EUR 960.00"),
        (40, 270, 24, "black", "Hosting, March"),
        (900, 270, 24, "black", "EUR 49.00"),
        (700, 360, 30, "black", "Total: EUR 1009.00"),
        (60, 590, 28, (160, 0, 0), "Error 402: payment failed, the card has expired"),
        (40, 740, 20, "blue", "Retry payment"),
    ):
        draw.text((x, y), text, font=ImageFont.load_default(size), fill=colour)
    return image


def landscape() -> Image.Image:
    """Something like a photo: a sky, hills, a sun, and no text."""
    image = Image.new("RGB", (1024, 768))
    draw = ImageDraw.Draw(image)
    for y in range(768):
        draw.line((0, y, 1024, y), fill=(100 + y // 10, 150 + y // 12, 230 - y // 40))
    draw.ellipse((700, 80, 820, 200), fill=(250, 230, 150))
    draw.polygon([(0, 500), (250, 420), (600, 520), (1024, 430), (1024, 768), (0, 768)], fill=(50, 120, 50))
    return image.resize((512, 384)).resize((1024, 768), Image.Resampling.BICUBIC)
