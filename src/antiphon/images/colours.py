"""The main colours of an image, by name."""

import colorsys
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["main_colours"]

_SIDE = 48
_SHARE = 0.06
_MOST = 4
_HUES = (
    (15, "red"),
    (42, "orange"),
    (70, "yellow"),
    (165, "green"),
    (195, "turquoise"),
    (255, "blue"),
    (290, "purple"),
    (340, "pink"),
    (361, "red"),
)
"""Up to which angle a hue has which name."""


def main_colours(image: "Image") -> tuple[str, ...]:
    """Names of the colours that cover most of an RGB image, the largest first; at most 4."""
    small = image.resize((_SIDE, _SIDE)).tobytes()
    pixels = zip(small[::3], small[1::3], small[2::3], strict=True)
    names = Counter(_name(*pixel) for pixel in pixels)
    return tuple(name for name, count in names.most_common(_MOST) if count >= _SHARE * _SIDE * _SIDE)


def _name(red: int, green: int, blue: int) -> str:
    hue, saturation, value = colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)
    if value < 0.2:
        return "black"
    if saturation < 0.12:
        return "white" if value > 0.9 else "light grey" if value > 0.7 else "grey" if value > 0.4 else "dark grey"
    name = next(name for most, name in _HUES if hue * 360 < most)
    if name in ("orange", "red") and value < 0.6 and 10 < hue * 360 < 45:
        return "brown"
    if saturation < 0.35 and value > 0.8:
        return f"light {name}"
    return f"dark {name}" if value < 0.5 else name
