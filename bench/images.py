"""``python -m bench.images``: what an image costs, to check it and to read it for a model that does not see."""

import asyncio
import base64
import gc
import resource
import time
from io import BytesIO
from typing import Any

import psutil
from PIL import Image, ImageDraw, ImageFont

from antiphon.engines.base import CallContext
from antiphon.engines.image_rapidocr import create
from antiphon.images.decoding import decode
from antiphon.vocabulary.llm import ImageContent

_MIB = 1024 * 1024
_LINES = 10
_READINGS = 5


def main() -> None:
    page = _page((1280, 800))
    print("| | wall, s | CPU, s | memory of the process, MiB | at most |")
    print("| --- | --- | --- | --- | --- |")
    _row("at the start", 0, 0)
    for kind in ("png", "jpeg", "webp"):
        _check(f"check of 1280 x 800, {kind}", page, kind)
    with asyncio.Runner() as runner:
        reader = create({})
        for number in range(_READINGS):
            content = ImageContent(_url(page, "png"))
            name = "first reading" if number == 0 else "reading"
            _timed(
                f"{name} of 1280 x 800, {_LINES} lines",
                lambda content=content: runner.run(reader.read(content, context=CallContext("bench"))),
            )
        runner.run(reader.aclose())
    large = _page((4096, 4096))
    for kind in ("png", "jpeg", "webp"):
        _check(f"check of 4096 x 4096, {kind}", large, kind)


def _check(name: str, image: Image.Image, kind: str) -> None:
    url = _url(image, kind)
    _timed(name, lambda: decode(url))


def _timed(name: str, work: Any) -> None:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    work()
    _row(name, time.perf_counter() - wall_s, time.process_time() - cpu_s)


def _row(name: str, wall_s: float, cpu_s: float) -> None:
    gc.collect()
    now = psutil.Process().memory_info().rss / _MIB
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"| {name} | {wall_s:.3f} | {cpu_s:.3f} | {now:.0f} | {most:.0f} |", flush=True)


def _page(size: tuple[int, int]) -> Image.Image:
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    for number in range(_LINES):
        text = f"Line {number}: the order was sent on day {number * 37}"
        draw.text((40, 40 + number * 72), text, font=ImageFont.load_default(26), fill="black")
    return image


def _url(image: Image.Image, kind: str) -> str:
    buffer = BytesIO()
    image.save(buffer, kind)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


if __name__ == "__main__":
    main()
