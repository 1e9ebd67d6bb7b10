"""RapidOCR: the text in an image and its place, with the PP-OCRv6 models that lie inside the package.

Nothing is fetched: the models are opened by their paths, by our own ONNX Runtime sessions. They are loaded for the
first image, since most conversations never hold one. Where text is, is looked for in a reduced picture; what it says
is read from the full one.
"""

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from antiphon.engines.base import CallContext, EngineInfo, parse_options
from antiphon.engines.errors import EngineError, EngineSettingsError
from antiphon.engines.onnx_session import open_session
from antiphon.engines.registry import requires
from antiphon.engines.worker import Worker
from antiphon.images.colours import main_colours
from antiphon.images.decoding import decode_rgb
from antiphon.images.head import BadImageError
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.images import ImageReading, TextLine
from antiphon.vocabulary.llm import ImageContent

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["RapidOcr", "RapidOcrOptions", "create"]

_VERSION = "3.10.0"
_DETECTOR = "PP-OCRv6_det_small.onnx"
_RECOGNISER = "PP-OCRv6_rec_small.onnx"
_DETECTED_PIXELS = 1_300_000
"""The detector's memory and time grow with the picture: 1280x800 is looked at as it is."""
_SMALL_SIDE = 320
"""Pictures with a shorter side get twice the size: their letters are tiny."""
_MOST_VIEWS = 8
_OVERLAP = 48
_STEP = 32
_LONGEST_RATIO = 40
"""Width by height of what is recognised in one piece."""
_BATCH = 6
_SURE = 0.6
"""Scores below are noise more often than text."""

Pixels = NDArray[np.uint8]
"""Shape (height, width, 3), blue first."""


class RapidOcrOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    threads: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1
    """Threads of each reading."""
    max_lines: Annotated[int, msgspec.Meta(ge=1)] = 200
    """Lines read of one image; those found beyond are left out."""
    preload: bool = False
    """Load the models (about 300 MB with their libraries) at the start instead of for the first image."""
    queue_limit: Annotated[int, msgspec.Meta(ge=0)] = 32
    """Images that may wait for the engine's one thread; more are refused as overloaded."""
    nice: Annotated[int, msgspec.Meta(ge=0, le=19)] = 5
    """Lowers the priority of the thread (Linux)."""


@requires("rapidocr", "onnxruntime", "cv2", "PIL")
def create(options: Mapping[str, Any]) -> "RapidOcr":
    """Build the engine. Raises ``EngineSettingsError``."""
    chosen = parse_options("rapidocr", options, RapidOcrOptions)
    spec = util.find_spec("rapidocr")
    models = Path(spec.origin).parent / "models" if spec is not None and spec.origin else Path()
    for name in (_DETECTOR, _RECOGNISER):
        if not (models / name).is_file():
            raise EngineSettingsError(f"rapidocr: its package lacks {name}; install rapidocr=={_VERSION}")
    return RapidOcr(models, chosen)


class _Call:
    """One reading, which its caller may give up."""

    def __init__(self) -> None:
        self._given_up = threading.Event()
        self._running: Any = None

    def give_up(self) -> None:
        self._given_up.set()
        if self._running is not None:
            # The runtime looks at it between two nodes of the graph.
            self._running.terminate = True

    def run(self, session: Any, batch: Any) -> Any:
        import onnxruntime

        self._running = onnxruntime.RunOptions()
        self.check()
        try:
            return session.run(None, {session.get_inputs()[0].name: batch}, self._running)[0]
        except Exception:
            self.check()
            raise

    def check(self) -> None:
        if self._given_up.is_set():
            raise EngineError(EngineErrorKind.FAILED, "rapidocr: the reading was given up")


class RapidOcr:
    """An ``ImageReader``. A screenshot of 1280 x 800 takes about half a second of one core."""

    def __init__(self, models: Path, options: RapidOcrOptions) -> None:
        self._models = models
        self._options = options
        self._network: _Network | None = None
        self._worker = Worker("rapidocr", nice=options.nice, queue_limit=options.queue_limit)

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("rapidocr", version=_VERSION, residual_ms=500)

    @property
    def load(self) -> int:
        return self._worker.load

    async def warm_up(self) -> None:
        """Loads the models, where ``preload`` says so."""
        if self._options.preload:
            await self._worker.run(self._loaded)

    async def aclose(self) -> None:
        self._worker.close()

    async def read(self, image: ImageContent, *, context: CallContext) -> ImageReading:
        """Text and main colours; see the Protocol."""
        call = _Call()
        try:
            async with asyncio.timeout(context.deadline_s):
                return await self._worker.run(self._read, image.data_url, call)
        except TimeoutError as error:
            raise EngineError(EngineErrorKind.TIMEOUT, "rapidocr: the image was not read in time") from error
        finally:
            call.give_up()

    # --- on the worker ---------------------------------------------------------------------------------------------

    def _loaded(self) -> "_Network":
        if self._network is None:
            self._network = _Network(self._models, self._options.threads)
        return self._network

    def _read(self, data_url: str, call: _Call) -> ImageReading:
        call.check()
        try:
            picture = decode_rgb(data_url)
        except BadImageError as error:
            raise EngineError(EngineErrorKind.BAD_INPUT, f"rapidocr: {error}") from error
        network = self._loaded()
        call.check()
        pixels = np.ascontiguousarray(np.asarray(picture)[:, :, ::-1])
        boxes = [box for view in _views(picture) for box in network.detect(view, call)]
        lines = network.recognise(pixels, boxes[: self._options.max_lines], call)
        return ImageReading(tuple(lines), main_colours(picture), is_complete=len(boxes) <= self._options.max_lines)


@dataclass(frozen=True, slots=True)
class _View:
    """A stretch of the picture's height, as the detector looks at it."""

    pixels: Pixels
    scale: tuple[float, float]
    """From its pixels to those of the picture, across and down."""
    top: int
    """Where it begins in the picture."""
    first: int
    last: int
    """It answers for boxes whose middle lies between these rows: views overlap, so that no line is cut."""


def _views(picture: "Image") -> Iterator[_View]:
    """One for most pictures; a long page is looked at in parts, or its letters would be too small."""
    width, height = picture.size
    count = min(_MOST_VIEWS, -(-width * height // _DETECTED_PIXELS)) if height > 2 * width else 1
    for number in range(count):
        first, last = height * number // count, height * (number + 1) // count
        top, bottom = max(0, first - _OVERLAP), min(height, last + _OVERLAP)
        pixels = _reduced(picture.crop((0, top, width, bottom)))
        scale = (width / pixels.shape[1], (bottom - top) / pixels.shape[0])
        yield _View(pixels, scale, top, first, last)


def _reduced(picture: "Image") -> Pixels:
    """The picture as the detector looks at it: sides are multiples of 32."""
    width, height = picture.size
    scale = 2.0 if min(width, height) < _SMALL_SIDE else 1.0
    scale *= min(1.0, (_DETECTED_PIXELS / (width * height * scale * scale)) ** 0.5)
    size = tuple(max(_STEP, round(side * scale / _STEP) * _STEP) for side in (width, height))
    if size[0] * size[1] > 2 * _DETECTED_PIXELS:
        # Hardly more than a line: its short side cannot shrink any more, so the long one has to.
        size = tuple(min(side, _DETECTED_PIXELS // _STEP // _STEP * _STEP) for side in size)
    return np.ascontiguousarray(np.asarray(picture.resize(size))[:, :, ::-1])


class _Config(dict[str, Any]):
    """A section of RapidOCR's configuration as its classes read it: by key and by attribute."""

    __getattr__ = dict.__getitem__


class _Network:
    """The two models, with RapidOCR's own steps before and behind them."""

    def __init__(self, models: Path, threads: int) -> None:
        import cv2
        from rapidocr.ch_ppocr_det import TextDetector
        from rapidocr.ch_ppocr_rec import TextRecognizer
        from rapidocr.main import DEFAULT_CFG_PATH
        from rapidocr.utils.log import logger
        from rapidocr.utils.parse_parameters import ParseParams

        logger.setLevel("ERROR")
        cv2.setNumThreads(1)
        config = ParseParams.load(DEFAULT_CFG_PATH)
        self._detector_session = open_session("rapidocr", models / _DETECTOR, threads=threads, arena=False)
        self._recogniser_session = open_session("rapidocr", models / _RECOGNISER, threads=threads, arena=False)
        # With "max" and a side that is never reached the picture is taken as large as it is.
        sides = {"limit_type": "max", "limit_side_len": 1 << 30}
        self._detector = TextDetector(_Config({**config.Det, **sides, "session": self._detector_session}))
        self._recogniser = TextRecognizer(
            _Config({**config.Rec, "font_path": None, "session": self._recogniser_session})
        )

    def detect(self, view: _View, call: _Call) -> list[Any]:
        """Boxes of four corners in the whole picture, from top to bottom."""
        self._detector.session = lambda batch: call.run(self._detector_session, batch)
        found = self._detector(view.pixels).boxes
        if found is None:
            return []
        boxes = [np.asarray(box * view.scale + (0, view.top), np.float32) for box in found]
        return [box for box in boxes if view.first <= box[:, 1].mean() < view.last]

    def recognise(self, pixels: Pixels, boxes: Sequence[Any], call: _Call) -> list[TextLine]:
        from rapidocr.utils.process_img import get_rotate_crop_image

        height, width = pixels.shape[:2]
        lines: list[TextLine] = []
        for start in range(0, len(boxes), _BATCH):
            batch = boxes[start : start + _BATCH]
            crops = [_pieces(get_rotate_crop_image(pixels, box.copy())) for box in batch]
            texts = iter(self._texts([piece for pieces in crops for piece in pieces], call))
            for box, pieces in zip(batch, crops, strict=True):
                text = "".join(next(texts) for _ in pieces)
                left, top = box.min(axis=0)
                right, bottom = box.max(axis=0)
                lines.append(TextLine(text, *map(float, (left / width, top / height, right / width, bottom / height))))
        return [line for line in lines if line.text]

    def _texts(self, crops: Sequence[Pixels], call: _Call) -> list[str]:
        from rapidocr.ch_ppocr_rec import TextRecInput

        if not crops:
            return []
        self._recogniser.session = lambda batch: call.run(self._recogniser_session, batch)
        found = self._recogniser(TextRecInput(img=list(crops)))
        return [text if score >= _SURE else "" for text, score in zip(found.txts or (), found.scores, strict=True)]


def _pieces(crop: Pixels) -> list[Pixels]:
    """A line that is longer than the recogniser's memory allows is read in pieces."""
    height, width = crop.shape[:2]
    if not height or not width:
        return []
    return np.array_split(crop, -(-width // (_LONGEST_RATIO * height)), axis=1)
