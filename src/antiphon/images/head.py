"""What the first bytes of an image say, read from its data URL. Pure and cheap: nothing but these bytes is decoded.

Formats: PNG (ISO/IEC 15948), JPEG (ITU-T T.81), WebP (RFC 9649).
"""

import struct
from binascii import a2b_base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

__all__ = ["BadImageError", "ImageHead", "ImageKind", "file_of", "read_head"]

ImageKind = Literal["png", "jpeg", "webp"]

_PREFIXES: dict[str, ImageKind] = {
    "data:image/png;base64,": "png",
    "data:image/jpeg;base64,": "jpeg",
    "data:image/webp;base64,": "webp",
}
_JPEG_SEGMENTS = 2_048
"""Segments before the one with the size; real files have tens of them."""
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_JPEG_DATA = frozenset({0xD9, 0xDA})


class BadImageError(ValueError):
    """This is no image that can be taken; the message says why and is safe to show."""


@dataclass(frozen=True, slots=True)
class ImageHead:
    kind: ImageKind
    width: int
    height: int
    file_bytes: int
    """Size of the file, decoded from base64."""

    @property
    def pixels(self) -> int:
        return self.width * self.height


class _File:
    """The bytes behind base64, decoded only where they are looked at."""

    def __init__(self, data_url: str, start: int) -> None:
        self._url = data_url
        self._start = start
        length = len(data_url) - start
        if not length or length % 4:
            raise BadImageError("what follows the comma is not whole base64 (empty, or cut off)")
        self.size_bytes = length // 4 * 3 - data_url[-2:].count("=")

    def read(self, at: int, count: int) -> bytes:
        """Up to ``count`` bytes; fewer at the end of the file."""
        first, end = at // 3, -(-(at + count) // 3)
        try:
            decoded = a2b_base64(self._url[self._start + 4 * first : self._start + 4 * end], strict_mode=True)
        except ValueError as error:
            raise BadImageError("what follows the comma is not base64") from error
        return decoded[at - 3 * first :][:count]

    def unpack(self, form: str, at: int) -> tuple[int, ...]:
        data = self.read(at, struct.calcsize(form))
        try:
            return struct.unpack(form, data)
        except struct.error as error:
            raise BadImageError("the file ends within its head") from error


def read_head(data_url: str) -> ImageHead:
    """Kind and size of an image. Raises ``BadImageError``, also where the declared type is not the actual one."""
    declared, start = _declared(data_url)
    file = _File(data_url, start)
    actual = _actual(file.read(0, 12))
    if actual is None:
        raise BadImageError(f"it is declared as image/{declared}, but the data is no PNG, JPEG or WebP image")
    if actual != declared:
        raise BadImageError(f"it is declared as image/{declared}, but the data is image/{actual}")
    width, height = _SIZES[actual](file)
    if not width or not height:
        raise BadImageError("its width or height is 0")
    return ImageHead(actual, width, height, file.size_bytes)


def file_of(data_url: str) -> bytes:
    """The whole file. Raises ``BadImageError``."""
    try:
        return a2b_base64(data_url[_declared(data_url)[1] :], strict_mode=True)
    except ValueError as error:
        raise BadImageError("what follows the comma is not base64") from error


def _declared(data_url: str) -> tuple[ImageKind, int]:
    for prefix, kind in _PREFIXES.items():
        if data_url.startswith(prefix):
            return kind, len(prefix)
    raise BadImageError("expected a data URL of type image/png, image/jpeg or image/webp in base64")


def _actual(start: bytes) -> ImageKind | None:
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if start.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return "webp"
    return None


# --- sizes ---------------------------------------------------------------------------------------------------------


def _png_size(file: _File) -> tuple[int, int]:
    if file.read(8, 8) != b"\x00\x00\x00\rIHDR":
        raise BadImageError("the PNG does not begin with its header")
    width, height = file.unpack(">II", 16)
    return width, height


def _jpeg_size(file: _File) -> tuple[int, int]:
    at = 2
    for _ in range(_JPEG_SEGMENTS):
        mark, code = file.unpack(">BB", at)
        if mark != 0xFF or code in _JPEG_DATA:
            break
        if code == 0xFF or code in _JPEG_ALONE:
            at += 1 if code == 0xFF else 2
            continue
        if code in _JPEG_SIZES:
            height, width = file.unpack(">HH", at + 5)
            return width, height
        (length,) = file.unpack(">H", at + 2)
        at += 2 + length
    raise BadImageError("the JPEG says nowhere how large it is")


def _webp_size(file: _File) -> tuple[int, int]:
    chunk = file.read(12, 4)
    if chunk == b"VP8X":
        low_w, high_w, low_h, high_h = file.unpack("<HBHB", 24)
        return (low_w | high_w << 16) + 1, (low_h | high_h << 16) + 1
    if chunk == b"VP8L":
        mark, bits = file.unpack("<BI", 20)
        if mark == 0x2F:
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif chunk == b"VP8 " and file.read(23, 3) == b"\x9d\x01\x2a":
        width, height = file.unpack("<HH", 26)
        return width & 0x3FFF, height & 0x3FFF
    raise BadImageError("the WebP says nowhere how large it is")


_SIZES: dict[ImageKind, Callable[[_File], tuple[int, int]]] = {
    "png": _png_size,
    "jpeg": _jpeg_size,
    "webp": _webp_size,
}
