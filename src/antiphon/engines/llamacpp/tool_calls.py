"""Finding tool calls in a model's text while it is being written.

Small models do not keep to one form. Accepted are a bare JSON object, one in a code fence, in ``<tool_call>`` or
``<tools>`` tags, in a list, with doubled braces, and several of them; the object names a known tool and holds an
``arguments`` (or ``parameters``) object. Text is held back only while it may still become such a call. What turns out
not to be one is released as text. Words after a call are dropped: they would pretend to know its result.

The text may arrive in pieces of any size: every split gives the same text and the same calls.
"""

import json
from collections.abc import Collection, Iterator
from enum import Enum, auto

from antiphon.engines.llamacpp.call_syntax import OPENERS, ObjectScanner, ToolCallText, Wrapping, call_in
from antiphon.vocabulary.llm import TextChunk, ToolCallChunk

__all__ = ["ToolCallParser"]

_MOST_CALLS = 8
_LONGEST_HELD_CHARS = 16 * 1024
_LONGEST_CLOSING_CHARS = 256

_Piece = TextChunk | ToolCallChunk


class _Mode(Enum):
    TEXT = auto()
    """Words for the user."""
    HELD = auto()
    """May become a call: the wrapping before an object, or the object up to where it is certain."""
    ARGUMENTS = auto()
    """A call for certain; its arguments leave as they come."""
    CLOSING = auto()
    """The rest of the object around the arguments."""
    DONE = auto()
    """Nothing that follows matters."""


class ToolCallParser:
    """Feed it the model's text; it yields what the user is to hear and the calls, in order.

    ``names``: the tools that were shown. ``several``: whether more than one call is wanted. ``former``: tools that the
    model has called before; a call of one that is not shown now is neither a call nor text, it is dropped.
    """

    def __init__(self, names: Collection[str], *, several: bool, former: Collection[str] = ()) -> None:
        self._shown = frozenset(names)
        self._names = self._shown.union(former)
        self._several = several
        self._mode = _Mode.TEXT if self._names else _Mode.DONE
        self._no_tools = not self._names
        self._space = ""
        self._calls = 0
        self._dropped = 0
        self._held: list[str] = []
        self._wrapping = Wrapping()
        self._object: ObjectScanner | None = None
        self._arguments: list[str] = []

    @property
    def calls(self) -> int:
        """How many calls were found so far."""
        return self._calls

    @property
    def done(self) -> bool:
        """Whether the rest of the text can change nothing: the generation may be stopped."""
        return self._mode is _Mode.DONE and not self._no_tools

    def feed(self, text: str) -> list[_Piece]:
        if self._no_tools:
            return [TextChunk(text)] if text else []
        return list(_joined(self._kept(self._steps(text))))

    def finish(self, *, cut: bool = False) -> list[_Piece]:
        """The text ends here. ``cut``: by a limit, so that what is incomplete is left incomplete."""
        return list(_joined(self._kept(self._last_steps(cut))))

    def _kept(self, pieces: Iterator[_Piece]) -> Iterator[_Piece]:
        return (piece for piece in pieces if isinstance(piece, TextChunk) or piece.name in self._shown)

    # --- one character at a time ----------------------------------------------------------------------------------

    def _steps(self, text: str) -> Iterator[_Piece]:
        pending = list(reversed(text))
        while pending:
            yield from self._step(pending.pop(), pending)

    def _step(self, char: str, pending: list[str]) -> Iterator[_Piece]:
        """``pending`` is what follows, last character first; text that is no call goes back there."""
        if self._mode is _Mode.TEXT:
            yield from self._step_in_text(char)
        elif self._mode is _Mode.HELD:
            yield from self._step_held(char, pending)
        elif self._mode is _Mode.ARGUMENTS:
            yield from self._step_in_arguments(char)
        elif self._mode is _Mode.CLOSING:
            self._step_closing(char)

    def _step_in_text(self, char: str) -> Iterator[_Piece]:
        if char in OPENERS:
            self._hold()
            yield from self._step_held(char, [])
        elif char.isspace():
            self._space += char  # not spoken unless a word follows: it may stand before a call
        else:
            yield TextChunk(self._space + char)
            self._space = ""

    def _step_held(self, char: str, pending: list[str]) -> Iterator[_Piece]:
        self._held.append(char)
        if not self._may_be_call(char):
            yield from self._release(pending)
        elif self._object is not None:
            yield from self._look_at(self._object, pending)

    def _may_be_call(self, char: str) -> bool:
        if len(self._held) > _LONGEST_HELD_CHARS:
            return False
        if self._object is None:
            if not self._wrapping.feed(char):
                return False
            if not self._wrapping.at_object:
                return True
            self._object = ObjectScanner(self._names)
        return self._object.feed(char)

    def _look_at(self, scanner: ObjectScanner, pending: list[str]) -> Iterator[_Piece]:
        if scanner.in_arguments:
            assert scanner.name is not None
            self._mode = _Mode.ARGUMENTS
            self._held.clear()
            self._arguments = ["{"]
            yield self._new_call(scanner.name, "{")
        elif scanner.closed:
            call = call_in(scanner.text, self._names)
            if call is None:
                yield from self._release(pending)
            else:
                yield from self._whole_call(call)

    def _step_in_arguments(self, char: str) -> Iterator[_Piece]:
        assert self._object is not None
        self._object.feed(char)
        self._arguments.append(char)
        yield self._continued(char)
        if not self._object.in_arguments:
            self._mode = _Mode.CLOSING
            self._held.clear()

    def _step_closing(self, char: str) -> None:
        assert self._object is not None
        self._held.append(char)
        sound = self._object.feed(char) and len(self._held) <= _LONGEST_CLOSING_CHARS
        if self._object.closed or not sound:
            self._after_call()

    # --- from one mode to another ---------------------------------------------------------------------------------

    def _hold(self, *, after_call: bool = False) -> None:
        self._mode = _Mode.HELD
        self._held.clear()
        self._wrapping = Wrapping(after_call=after_call)
        self._object = None

    def _release(self, pending: list[str]) -> Iterator[_Piece]:
        """What was held is no call: its first character is text, the rest is read again."""
        if self._calls + self._dropped:
            self._mode = _Mode.DONE
            return
        first, *others = self._held
        self._mode = _Mode.TEXT
        pending.extend(reversed(others))
        yield TextChunk(self._space + first)
        self._space = ""

    def _new_call(self, name: str, arguments: str) -> ToolCallChunk:
        if name in self._shown:
            self._calls += 1
        else:
            self._dropped += 1
        self._space = ""
        return ToolCallChunk(self._calls - 1, name, arguments)

    def _continued(self, arguments: str) -> ToolCallChunk:
        assert self._object is not None
        return ToolCallChunk(self._calls - 1, self._object.name or "", arguments)

    def _whole_call(self, call: ToolCallText) -> Iterator[_Piece]:
        yield self._new_call(call.name, call.arguments)
        self._after_call()

    def _after_call(self) -> None:
        if self._several and self._calls + self._dropped < _MOST_CALLS:
            self._hold(after_call=True)
        else:
            self._mode = _Mode.DONE

    # --- the end --------------------------------------------------------------------------------------------------

    def _last_steps(self, cut: bool) -> Iterator[_Piece]:
        while self._mode is _Mode.HELD and self._held:
            call = None if cut or self._object is None else self._object.completed(self._names)
            if call is not None:
                yield from self._whole_call(call)
                break
            pending: list[str] = []
            yield from self._release(pending)
            while pending:
                yield from self._step(pending.pop(), pending)
        if self._mode is _Mode.ARGUMENTS and not cut:
            yield from self._closed_arguments()
        self._mode = _Mode.DONE

    def _closed_arguments(self) -> Iterator[_Piece]:
        """The model stopped of itself and left braces open: close them if that makes a JSON text."""
        assert self._object is not None
        closers = self._object.missing_in_arguments
        try:
            json.loads("".join(self._arguments) + closers)
        except ValueError:
            return
        yield self._continued(closers)


def _joined(pieces: Iterator[_Piece]) -> Iterator[_Piece]:
    """Neighbours that continue each other as one piece."""
    last: _Piece | None = None
    for piece in pieces:
        if isinstance(last, TextChunk) and isinstance(piece, TextChunk):
            last = TextChunk(last.text + piece.text)
        elif isinstance(last, ToolCallChunk) and isinstance(piece, ToolCallChunk) and last.index == piece.index:
            last = ToolCallChunk(last.index, last.name, last.arguments_delta + piece.arguments_delta)
        else:
            if last is not None:
                yield last
            last = piece
    if last is not None:
        yield last
