"""From an image's data URL to its pixels, within bounds. It blocks: call it on a worker.

Only the first picture of an animation is decoded, and nothing that is not a picture: texts, colour profiles and
further frames of a PNG are cut out before anybody unpacks them.
"""

import struct
from io import BytesIO
from typing import TYPE_CHECKING

from antiphon.images.head import BadImageError, ImageHead, file_of, read_head

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

__all__ = ["decode", "decode_rgb"]

_PNG_HEAD = 8
_PNG_KEPT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_PNG_CHUNKS = 65_536
_JPEG_SCANS = 100
"""Passes over the whole picture in one file; progressive ones have ten. More would only keep a processor busy."""
_WHITE = (255, 255, 255)
_UPRIGHT = 1


def decode(data_url: str) -> None:
    """Decode all of an image and keep nothing. Raises ``BadImageError``."""
    with _decoded(data_url):
        pass


def decode_rgb(data_url: str) -> "Image":
    """An image in RGB, upright, its transparent parts on white. Raises ``BadImageError``."""
    with _decoded(data_url) as image:
        try:
            return _as_rgb(image)
        except Exception as error:
            raise BadImageError("its colours or its orientation cannot be understood") from error


def _decoded(data_url: str) -> "ImageFile":
    head = read_head(data_url)
    file = file_of(data_url)
    try:
        image = _opened(file, head)
        # The decoder reads the size for itself: what it found is what memory is taken for.
        if image.size != (head.width, head.height):
            raise BadImageError("it holds two different sizes")
        image.load()
    except BadImageError:
        raise
    except MemoryError as error:
        raise BadImageError("there is not enough memory for it") from error
    except Exception as error:  # a decoder's exceptions have no common base class
        raise BadImageError("the data is damaged or cut off") from error
    return image


def _opened(file: bytes, head: ImageHead) -> "ImageFile":
    # The decoder of the declared kind and no other: ``Image.open`` would try what else may fit.
    match head.kind:
        case "png":
            from PIL.PngImagePlugin import PngImageFile

            return PngImageFile(BytesIO(_bare_png(file)))
        case "jpeg":
            from PIL.JpegImagePlugin import JpegImageFile

            if file.count(b"\xff\xda") > _JPEG_SCANS:
                raise BadImageError(f"it has more than {_JPEG_SCANS} scans")
            return JpegImageFile(BytesIO(file))
        case "webp":
            from PIL.WebPImagePlugin import WebPImageFile

            return WebPImageFile(BytesIO(file))


def _bare_png(file: bytes) -> bytes:
    """The chunks that make the picture."""
    kept = [file[:_PNG_HEAD]]
    at = _PNG_HEAD
    for _ in range(_PNG_CHUNKS):
        if at + 12 > len(file):
            break
        length, kind = struct.unpack_from(">I4s", file, at)
        end = at + 12 + length
        if kind in _PNG_KEPT:
            kept.append(file[at:end])
        at = end
        if kind == b"IEND":
            return b"".join(kept)
    raise BadImageError("the data is damaged or cut off")


def _as_rgb(image: "ImageFile") -> "Image":
    from PIL import Image, ImageOps

    picture: Image.Image = image
    if picture.mode.startswith("I;16"):
        # Taken as they are, 16 bits a pixel would all be white.
        import numpy as np

        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if image.getexif().get(0x0112, _UPRIGHT) != _UPRIGHT:
        picture = ImageOps.exif_transpose(picture)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        ground = Image.new("RGB", picture.size, _WHITE)
        ground.paste(picture, mask=picture.getchannel("A"))
        return ground
    return picture.convert("RGB")
