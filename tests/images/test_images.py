"""Images of every kind are decoded or refused with words, within bounds of memory and time."""

import base64
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from antiphon.images.colours import main_colours
from antiphon.images.decoding import decode, decode_rgb
from antiphon.images.head import BadImageError, ImageHead, file_of, read_head
from tests.support.images import data_url, encoded, invoice, landscape, png_chunk, png_of
from tests.support.properties import bounded

PICTURE = landscape().resize((64, 48))


def _jpeg(**options: Any) -> bytes:
    return encoded(PICTURE, "jpeg", **options)


def _frames(kind: str) -> bytes:
    return encoded(PICTURE, kind, save_all=True, append_images=[invoice().resize((64, 48))], duration=100)


def _with_segments(count: int, size: int) -> bytes:
    """A JPEG with ``count`` comments before its size."""
    file = _jpeg()
    return file[:2] + (b"\xff\xfe" + struct.pack(">H", size + 2) + bytes(size)) * count + file[2:]


# --- heads ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_kind_size_and_length_are_read_from_the_head(kind: Any) -> None:
    for size in ((1, 1), (640, 480), (17, 3000)):
        file = encoded(Image.new("RGB", size), kind)
        assert read_head(data_url(file, kind)) == ImageHead(kind, *size, len(file))


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        (encoded(PICTURE, "webp", lossless=True), "webp"),
        (encoded(PICTURE, "webp", exif=b"Exif\x00\x00" + bytes(40)), "webp"),
        (_frames("webp"), "webp"),
        (_frames("png"), "png"),
        (_jpeg(progressive=True), "jpeg"),
        (_with_segments(40, 65_000), "jpeg"),
        (_jpeg().replace(b"\xff\xdb", b"\xff\xff\xff\xdb", 1), "jpeg"),
    ],
    ids=["lossless webp", "webp with metadata", "animated webp", "animated png", "progressive", "long head", "filled"],
)
def test_every_form_of_a_kind_has_a_head(file: bytes, kind: str) -> None:
    head = read_head(data_url(file, kind))
    assert (head.width, head.height) == (64, 48)


BAD_HEADS: dict[str, tuple[str, str]] = {
    "an address": ("https://example.org/a.png", "expected a data URL"),
    "a file": ("file:///a.png", "expected a data URL"),
    "nothing": ("", "expected a data URL"),
    "another type": ("data:image/gif;base64,R0lGODlh", "expected a data URL"),
    "no base64": ("data:image/png,abc", "expected a data URL"),
    "capitals": ("DATA:image/png;base64,AAAA", "expected a data URL"),
    "no data": ("data:image/png;base64,", "not whole base64"),
    "half a group": ("data:image/png;base64,AAA", "not whole base64"),
    "other letters": ("data:image/png;base64,!!!!", "not base64"),
    "another alphabet": ("data:image/png;base64,__--", "not base64"),
    "not ASCII": ("data:image/png;base64,äöüß", "not base64"),
    "line breaks": ("data:image/png;base64,\nAAA", "not base64"),
    "letters behind the end": ("data:image/png;base64,AA==AAAA", "not base64"),
    "a JPEG said to be a PNG": (data_url(_jpeg(), "png"), "declared as image/png, but the data is image/jpeg"),
    "a PNG said to be a JPEG": (data_url(png_of(2, 2), "jpeg"), "declared as image/jpeg, but the data is image/png"),
    "a GIF said to be a PNG": (data_url(encoded(PICTURE, "gif"), "png"), "no PNG, JPEG or WebP"),
    "text said to be a WebP": (data_url(b"hello there", "webp"), "no PNG, JPEG or WebP"),
    "a PNG of a signature": (data_url(png_of(2, 2)[:8], "png"), "does not begin with its header"),
    "a PNG cut in its header": (data_url(png_of(2, 2)[:20], "png"), "ends within its head"),
    "a PNG without its header": (data_url(png_of(2, 2)[:8] + png_of(2, 2)[33:], "png"), "begin with its header"),
    "a PNG of no width": (data_url(png_of(0, 2), "png"), "width or height is 0"),
    "a JPEG of two bytes and one": (data_url(b"\xff\xd8\xff", "jpeg"), "ends within its head"),
    "a JPEG without a size": (data_url(b"\xff\xd8\xff\xda\x00\x02", "jpeg"), "says nowhere how large"),
    "a JPEG of segments": (data_url(_with_segments(3_000, 0), "jpeg"), "says nowhere how large"),
    "a JPEG of filling": (data_url(b"\xff\xd8" + b"\xff" * 9_000, "jpeg"), "says nowhere how large"),
    "a JPEG of no height": (data_url(b"\xff\xd8\xff\xc0\x00\x11\x08\x00\x00\x00\x09" + bytes(9), "jpeg"), "is 0"),
    "a WebP of something": (data_url(b"RIFF\x20\x00\x00\x00WEBPABCD" + bytes(20), "webp"), "says nowhere how large"),
    "a WebP cut in its head": (data_url(b"RIFF\x20\x00\x00\x00WEBPVP8X\x0a", "webp"), "ends within its head"),
}


@pytest.mark.parametrize(("url", "reason"), BAD_HEADS.values(), ids=BAD_HEADS.keys())
def test_a_bad_head_is_refused_with_its_reason(url: str, reason: str) -> None:
    with pytest.raises(BadImageError, match=reason):
        read_head(url)


@bounded(300)
@given(st.sampled_from(["png", "jpeg", "webp"]), st.binary(max_size=80), st.integers(0, 40))
def test_whatever_the_bytes_are_a_head_is_read_or_refused(kind: str, data: bytes, kept: int) -> None:
    start = encoded(PICTURE, kind)[:kept]
    try:
        head = read_head(data_url(start + data, kind))
    except BadImageError:
        return
    assert head.width > 0
    assert head.height > 0


# --- pixels --------------------------------------------------------------------------------------------------------


def _converted(mode: str) -> Image.Image:
    return PICTURE.convert("RGB").convert(mode)


def _sixteen_bit() -> Image.Image:
    """Grey, dark on the left and light on the right, 16 bits a pixel."""
    row = b"".join(struct.pack("<H", 65_535 * x // 63) for x in range(64))
    return Image.frombytes("I;16", (64, 48), row * 48)


GOOD: dict[str, tuple[bytes, str]] = {
    "png": (encoded(PICTURE), "png"),
    "png with alpha": (encoded(_converted("RGBA")), "png"),
    "png with a palette": (encoded(_converted("P")), "png"),
    "png with a transparent palette": (encoded(_converted("P"), transparency=0), "png"),
    "png of two colours": (encoded(_converted("1")), "png"),
    "png in grey and alpha": (encoded(_converted("LA")), "png"),
    "png of 16 bits": (encoded(_sixteen_bit()), "png"),
    "animated png": (_frames("png"), "png"),
    "png with a huge text": (
        png_of(64, 48, png_chunk(b"zTXt", b"a\x00\x00" + zlib.compress(bytes(200_000_000)))),
        "png",
    ),
    "png with a huge profile": (
        png_of(64, 48, png_chunk(b"iCCP", b"a\x00\x00" + zlib.compress(bytes(50_000_000)))),
        "png",
    ),
    "png with data behind it": (encoded(PICTURE) + bytes(1_000), "png"),
    "jpeg": (_jpeg(), "jpeg"),
    "progressive jpeg": (_jpeg(progressive=True), "jpeg"),
    "grey jpeg": (encoded(_converted("L"), "jpeg"), "jpeg"),
    "cmyk jpeg": (encoded(_converted("CMYK"), "jpeg"), "jpeg"),
    "jpeg of several pictures": (_frames("mpo"), "jpeg"),
    "webp": (encoded(PICTURE, "webp"), "webp"),
    "lossless webp with alpha": (encoded(_converted("RGBA"), "webp", lossless=True), "webp"),
    "animated webp": (_frames("webp"), "webp"),
}


@pytest.mark.parametrize(("file", "kind"), GOOD.values(), ids=GOOD.keys())
def test_every_usual_form_of_an_image_is_decoded(file: bytes, kind: str) -> None:
    url = data_url(file, kind)
    decode(url)
    picture = decode_rgb(url)
    assert (picture.mode, picture.size) == ("RGB", (64, 48))


def test_sixteen_bits_keep_their_shades() -> None:
    picture = decode_rgb(data_url(encoded(_sixteen_bit())))
    assert picture.getpixel((0, 0)) == (0, 0, 0)
    assert picture.getpixel((32, 0)) == (130, 130, 130)


def test_what_is_transparent_lies_on_white() -> None:
    picture = decode_rgb(data_url(encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 0)))))
    assert picture.getpixel((0, 0)) == (255, 255, 255)


def test_a_picture_that_was_taken_sideways_is_turned() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode_rgb(data_url(_jpeg(exif=exif), "jpeg")).size == (48, 64)


def _png_with(data: bytes, width: int = 64, height: int = 48) -> str:
    return data_url(png_of(width, height, data=data))


def _two_sizes() -> str:
    file = _jpeg()
    at = file.index(b"\xff\xc0")
    (length,) = struct.unpack_from(">H", file, at + 2)
    frame = bytearray(file[at : at + 2 + length])
    frame[5:9] = struct.pack(">HH", 60_000, 60_000)
    return data_url(file[: at + 2 + length] + bytes(frame) + file[at + 2 + length :], "jpeg")


def _many_scans() -> str:
    file = _jpeg(progressive=True)
    at = file.rindex(b"\xff\xda")
    return data_url(file[:-2] + file[at:-2] * 200 + file[-2:], "jpeg")


BAD: dict[str, Callable[[], str]] = {
    "a png without data": lambda: _png_with(b""),
    "a png with half of its data": lambda: data_url(encoded(PICTURE)[:400]),
    "a png of noise": lambda: _png_with(random.Random(1).randbytes(3_000)),
    "a png with a wrong checksum": lambda: data_url(encoded(PICTURE)[:-20] + bytes(20)),
    "a png without an end": lambda: data_url(encoded(PICTURE)[:-12]),
    "a png of chunks": lambda: data_url(png_of(1, 1, png_chunk(b"IDAT", b"") * 70_000)),
    "a jpeg cut off": lambda: data_url(_jpeg()[:700], "jpeg"),
    "a jpeg of a head": lambda: data_url(_jpeg()[: _jpeg().index(b"\xff\xda")], "jpeg"),
    "a jpeg of two sizes": _two_sizes,
    "a jpeg of many scans": _many_scans,
    "a webp cut off": lambda: data_url(encoded(PICTURE, "webp")[:-20], "webp"),
    "a webp of a head": lambda: data_url(encoded(PICTURE, "webp")[:30], "webp"),
    "base64 that is broken late": lambda: data_url(encoded(PICTURE))[:-40] + "!" * 40,
}


@pytest.mark.parametrize("url", BAD.values(), ids=BAD.keys())
def test_an_image_that_cannot_be_decoded_is_refused(url: Callable[[], str]) -> None:
    for look in (decode, decode_rgb):
        with pytest.raises(BadImageError) as refusal:
            look(url())
        assert str(refusal.value)
        assert "/" not in str(refusal.value).replace("image/", "")


PEAK = """
import resource, sys
from PIL import JpegImagePlugin, PngImagePlugin, WebPImagePlugin
from antiphon.images.decoding import decode
from antiphon.images.head import BadImageError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for url in sys.stdin.read().split():
    try:
        decode(url)
    except BadImageError:
        pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is told in other units")
def test_a_bomb_takes_little_memory() -> None:
    """Rows, texts and a profile that unpack to 100 million bytes each, behind the header of one pixel; and a frame
    of a size that the header does not tell."""
    large = zlib.compress(bytes(100_000_000))
    text = png_chunk(b"zTXt", b"a\x00\x00" + large)
    profile = png_chunk(b"iCCP", b"a\x00\x00" + large)
    bombs = [data_url(png_of(1, 1, text, text, profile, data=large)), _two_sizes()]
    told = subprocess.run(
        [sys.executable, "-c", PEAK], input="\n".join(bombs), capture_output=True, text=True, check=True
    )
    assert int(told.stdout) < 32 * 1024


@bounded(150)
@given(st.sampled_from(["png", "jpeg", "webp"]), st.data())
def test_a_damaged_file_is_decoded_or_refused_and_nothing_else(kind: str, data: st.DataObject) -> None:
    file = bytearray(encoded(PICTURE, kind))
    for _ in range(data.draw(st.integers(1, 5))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    url = data_url(bytes(file), kind)
    try:
        head = read_head(url)
        if head.pixels < 1_000_000:
            decode(url)
    except BadImageError:
        pass


def test_the_file_behind_a_data_url_is_what_was_sent() -> None:
    file = encoded(PICTURE)
    assert file_of(data_url(file)) == file == base64.b64decode(data_url(file).partition(",")[2])


# --- colours -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("colour", "name"),
    [
        ("black", "black"),
        ("white", "white"),
        ((128, 128, 128), "grey"),
        ((200, 200, 200), "light grey"),
        ((220, 20, 20), "red"),
        ((255, 220, 220), "light red"),
        ((255, 140, 0), "orange"),
        ((255, 230, 0), "yellow"),
        ((20, 180, 40), "green"),
        ((10, 90, 20), "dark green"),
        ((30, 60, 200), "blue"),
        ((120, 30, 200), "purple"),
        ((255, 60, 180), "pink"),
        ((120, 70, 30), "brown"),
    ],
)
def test_a_colour_has_the_name_that_people_give_it(colour: Any, name: str) -> None:
    assert main_colours(Image.new("RGB", (20, 20), colour)) == (name,)


def test_main_colours_are_those_that_cover_most() -> None:
    image = Image.new("RGB", (100, 100), "white")
    image.paste((220, 20, 20), (0, 0, 100, 30))
    image.putpixel((50, 50), (0, 0, 255))
    assert main_colours(image) == ("white", "red")
