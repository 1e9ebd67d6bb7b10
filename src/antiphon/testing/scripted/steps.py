"""What a script is made of, and the steering words by which a client writes one."""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Final, get_args

from antiphon.engines.base import EngineInfo
from antiphon.engines.errors import EngineError
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.llm import FinishReason

__all__ = [
    "HANG",
    "Call",
    "Delay",
    "Finish",
    "Hang",
    "Say",
    "ScriptedEngine",
    "Step",
    "Trouble",
    "read_steps",
    "undergo",
]


@dataclass(frozen=True, slots=True)
class Delay:
    """Nothing happens for ``delay_s``, by the clock of the event loop."""

    delay_s: float


class Hang(Enum):
    HANG = "hang"


HANG: Final = Hang.HANG
"""Nothing happens any more, until the stream is closed or its task cancelled."""

Trouble = Delay | Hang | Exception
"""What may befall any call; an exception is raised."""


@dataclass(frozen=True, slots=True)
class Say:
    text: str


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: str
    """The text of a JSON object."""


@dataclass(frozen=True, slots=True)
class Finish:
    reason: FinishReason


Step = Say | Call | Finish | Trouble


async def undergo(trouble: Trouble) -> None:
    match trouble:
        case Delay(delay_s):
            await asyncio.sleep(delay_s)
        case Exception():
            raise trouble
        case Hang.HANG:
            await asyncio.get_running_loop().create_future()


def read_steps(text: str) -> Sequence[Step] | None:
    """The steps that a text spells, one a line; None if any line is something else."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    try:
        return [_read_step(line) for line in lines] or None
    except ValueError:
        return None


def _read_step(line: str) -> Step:
    word, _, rest = line.partition(" ")
    try:
        read = _STEERING[word.casefold()]
    except KeyError:
        raise ValueError(word) from None
    return read(rest.strip())


def _say(rest: str) -> Step:
    return Say(_required(rest))


def _call(rest: str) -> Step:
    name, _, arguments = _required(rest).partition(" ")
    arguments = arguments.strip() or "{}"
    if not isinstance(json.loads(arguments), dict):
        raise ValueError(arguments)
    return Call(name, arguments)


def _long(rest: str) -> Step:
    words = [f"word {n}." if n % 10 == 0 else f"word {n}," for n in range(1, int(rest) + 1)]
    return Say(" ".join(words))


def _wait(rest: str) -> Step:
    return Delay(int(rest) / 1000)


def _fail(rest: str) -> Step:
    return EngineError(EngineErrorKind(rest or "failed"), "failed as told")


def _crash(rest: str) -> Step:
    _nothing(rest)
    return RuntimeError("crashed as told")


def _hang(rest: str) -> Step:
    _nothing(rest)
    return HANG


def _finish(rest: str) -> Step:
    for reason in get_args(FinishReason):
        if reason == rest:
            return Finish(reason)
    raise ValueError(rest)


def _required(rest: str) -> str:
    if not rest:
        raise ValueError(rest)
    return rest


def _nothing(rest: str) -> None:
    if rest:
        raise ValueError(rest)


_STEERING: dict[str, Callable[[str], Step]] = {
    "say": _say,
    "call": _call,
    "long": _long,
    "wait": _wait,
    "fail": _fail,
    "crash": _crash,
    "hang": _hang,
    "finish": _finish,
}


class ScriptedEngine:
    """What the scripted engines share: lifecycle and a count of their calls."""

    def __init__(self, name: str) -> None:
        self.info = EngineInfo(f"scripted {name}", "1", residual_ms=0)
        self.warmed_up = 0
        self.closed = False
        self.running = 0
        """Calls under way."""
        self.most_running = 0
        self.started = 0
        self.finished = 0
        self.failed = 0
        self.stopped = 0
        """Calls that were closed or cancelled before their end."""

    async def warm_up(self) -> None:
        self.warmed_up += 1

    async def aclose(self) -> None:
        self.closed = True

    @contextmanager
    def counted(self) -> Iterator[int]:
        """Around one call; gives its index, from 0."""
        index = self.started
        self.started += 1
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            yield index
        except Exception:
            self.failed += 1
            raise
        except BaseException:
            self.stopped += 1
            raise
        else:
            self.finished += 1
        finally:
            self.running -= 1
