"""The facts that a scenario's lines tell a session: ``. name arguments``."""

import json
from collections.abc import Callable, Mapping
from typing import Final

from antiphon.core.inputs import (
    AudioBudgetChanged,
    ControlAttached,
    ControlDetached,
    DraftGranted,
    ItemMeasured,
    McpCallFailed,
    McpCallFinished,
    McpListFailed,
    McpToolsListed,
    PlayoutCleared,
    PlayoutEnded,
    PlayoutStarted,
    TranscriptProduced,
    TransportClosed,
    TurnJudged,
    WritingEnded,
)
from antiphon.vocabulary.llm import TokenUsage
from antiphon.vocabulary.mcp import McpFault, McpToolInfo
from antiphon.vocabulary.speech import SttUsage, Transcript, WordLogprob
from tests.support.session import WINDOW_MS, Driver

__all__ = ["FACTS"]


def _split(arguments: str, count: int) -> list[str]:
    """``count`` words; the last one takes the rest of the line."""
    return (arguments.split(None, count - 1) + [""] * count)[:count]


def _ms(text: str) -> int:
    return int(text.removesuffix("ms"))


def _text(driver: Driver, arguments: str) -> None:
    response_id, text = _split(arguments, 2)
    driver.text(response_id, _unquoted(text))


def _unquoted(text: str) -> str:
    """Words as they stand, or a JSON string where spaces at an end count."""
    return json.loads(text) if text.startswith('"') else text


def _call(driver: Driver, arguments: str) -> None:
    response_id, index, name, delta = _split(arguments, 4)
    driver.call(response_id, int(index), name, delta)


def _spoken(driver: Driver, arguments: str) -> None:
    response_id, length, span = _split(arguments, 3)
    start, end = span.split(":")
    driver.spoken(response_id, _ms(length), int(start), int(end))


def _ended(driver: Driver, arguments: str) -> None:
    response_id, reason, *counts = arguments.split()
    usage = TokenUsage(*map(int, counts))
    driver.ended(response_id, reason, usage)  # type: ignore[arg-type]


def _broke(driver: Driver, arguments: str) -> None:
    response_id, kind, message = _split(arguments, 3)
    driver.broke(response_id, kind, message)


def _transcript(driver: Driver, arguments: str) -> None:
    place, text = _split(arguments, 2)
    item_id, index = _place(place)
    driver.transcript(item_id, _unquoted(text), index=index)


def _partial(driver: Driver, arguments: str) -> None:
    place, text = _split(arguments, 2)
    item_id, index = _place(place)
    driver.transcript(item_id, _unquoted(text), index=index, final=False)


def _detailed(driver: Driver, arguments: str) -> None:
    place, text = _split(arguments, 2)
    item_id, index = _place(place)
    fields = json.loads(text)
    fields["logprobs"] = tuple(WordLogprob(*word) for word in fields.get("logprobs", ()))
    fields["usage"] = SttUsage(*fields["usage"]) if "usage" in fields else None
    driver.do(TranscriptProduced(item_id, index, Transcript(is_final=True, **fields)))


def _hypothesis(driver: Driver, arguments: str, *, thorough: bool) -> None:
    item_id, length, text = _split(arguments, 3)
    said = Transcript("", False, hypothesis=_unquoted(text), audio_s=_ms(length) / 1000, thorough=thorough)
    driver.do(TranscriptProduced(item_id, 0, said))


def _judged(driver: Driver, arguments: str) -> None:
    """The judge's word on all that was heard so far, or on what was heard up to so many ms ago."""
    item_id, probability, ago = _split(arguments, 3)
    at_sample = driver.samples - 24 * _ms(ago or "0")
    driver.do(TurnJudged(item_id, at_sample, None if probability == "-" else float(probability)))


def _unheard(driver: Driver, arguments: str) -> None:
    place, kind = _split(arguments, 2)
    item_id, index = _place(place)
    driver.transcript_failed(item_id, kind, index=index)


def _place(text: str) -> tuple[str, int]:
    item_id, _, index = text.partition("/")
    return item_id, int(index or 0)


def _read(driver: Driver, arguments: str) -> None:
    place, text = _split(arguments, 2)
    item_id, index = _place(place)
    driver.image(item_id, _unquoted(text), index=index)


def _unread(driver: Driver, arguments: str) -> None:
    place, kind = _split(arguments, 2)
    item_id, index = _place(place)
    driver.image_unread(item_id, kind, index=index)


def _began(driver: Driver, arguments: str) -> None:
    driver.do(PlayoutStarted(*arguments.split()))


def _left(driver: Driver, arguments: str) -> None:
    response_id, item_id, sent = arguments.split()
    driver.do(PlayoutEnded(response_id, item_id, 24 * _ms(sent)))


def _cleared(driver: Driver, arguments: str) -> None:
    response_id, item_id, sent, heard = arguments.split()
    driver.do(PlayoutCleared(response_id, item_id, 24 * _ms(sent), _ms(heard)))


def _measured(driver: Driver, arguments: str) -> None:
    item_id, tokens = arguments.split()
    driver.do(ItemMeasured(item_id, int(tokens)))


def _listed(driver: Driver, arguments: str) -> None:
    item_id, tools = _split(arguments, 2)
    driver.do(McpToolsListed(item_id, tuple(McpToolInfo(**tool) for tool in json.loads(tools))))


def _unlisted(driver: Driver, arguments: str) -> None:
    item_id, message = _split(arguments, 2)
    driver.do(McpListFailed(item_id, McpFault("http", message, 503)))


def _called(driver: Driver, arguments: str) -> None:
    item_id, output = _split(arguments, 2)
    driver.do(McpCallFinished(item_id, output))


def _uncalled(driver: Driver, arguments: str) -> None:
    item_id, kind, code, message = _split(arguments, 4)
    driver.do(McpCallFailed(item_id, McpFault(kind, message, int(code))))  # type: ignore[arg-type]


FACTS: Final[Mapping[str, Callable[[Driver, str], object]]] = {
    "open": lambda driver, _: driver.open(),
    "close": lambda driver, _: driver.do(TransportClosed(clean=True)),
    "tick": lambda driver, _: driver.tick(),
    "audio": lambda driver, ms: driver.audio(_ms(ms)),
    "speech": lambda driver, ms: driver.speech(_ms(ms)),
    "silence": lambda driver, ms: driver.silence(_ms(ms)),
    "budget": lambda driver, size: driver.do(AudioBudgetChanged(int(size))),
    "text": _text,
    "call": _call,
    "spoken": _spoken,
    "wrote": lambda driver, response_id: driver.do(WritingEnded(response_id)),
    "ended": _ended,
    "broke": _broke,
    "transcript": _transcript,
    "partial": _partial,
    "detailed": _detailed,
    "unheard": _unheard,
    "heard": lambda driver, arguments: _hypothesis(driver, arguments, thorough=True),
    "guessed": lambda driver, arguments: _hypothesis(driver, arguments, thorough=False),
    "judged": _judged,
    "granted": lambda driver, item_id: driver.do(DraftGranted(item_id)),
    "window": lambda driver, probability: driver.windows(WINDOW_MS, float(probability)),
    "read": _read,
    "unread": _unread,
    "measured": _measured,
    "began": _began,
    "left": _left,
    "cleared": _cleared,
    "attached": lambda driver, origin: driver.do(ControlAttached(int(origin))),
    "detached": lambda driver, origin: driver.do(ControlDetached(int(origin))),
    "listed": _listed,
    "unlisted": _unlisted,
    "called": _called,
    "uncalled": _uncalled,
}
"""``audio 500ms`` · ``speech 320ms`` (with the detector's word) · ``silence 512ms`` · ``text $r words`` ·
``call $r INDEX NAME ARGUMENTS`` · ``spoken $r 200ms START:END`` · ``ended $r REASON [INPUT CACHED OUTPUT]`` ·
``wrote $r`` · ``broke $r KIND [message]`` · ``transcript $item[/PART] words`` · ``partial $item words`` ·
``unheard $item KIND`` ·
``heard $item 640ms words`` (a thorough hypothesis on so much audio) · ``guessed $item 640ms words`` (another one) ·
``judged $item PROBABILITY [64ms]`` (``-``: none; the audio up to so long ago) · ``window PROBABILITY`` (one of 32 ms) ·
``granted $item`` (a draft) ·
``read $item[/PART] words`` (a line of text in the image, in red and white) · ``unread $item[/PART] KIND`` ·
``detailed $item {"text": .., "language": .., "logprobs": [[TOKEN, LOGPROB]], "usage": [TEXT, AUDIO, OUTPUT]}`` ·
``measured $item TOKENS`` · ``listed $item [TOOLS]`` · ``unlisted $item message`` · ``called $item output`` ·
``uncalled $item KIND CODE message`` · ``began $r $item`` · ``left $r $item 200ms`` (so far) ·
``cleared $r $item 200ms 150ms`` (sent, heard) · ``attached ORIGIN`` · ``detached ORIGIN`` ·
``budget BYTES`` · ``tick`` · ``open`` · ``close``"""
