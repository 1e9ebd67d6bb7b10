"""What is asked of the child process, and what its answers mean."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from antiphon.engines.errors import EngineError
from antiphon.engines.llamacpp.chatml import END, START, Mark, Part
from antiphon.engines.llamacpp.texts import TextCache
from antiphon.engines.llamacpp.unix_http import Exchange, Reply, StreamListener, UnixHttp
from antiphon.vocabulary.errors import EngineErrorKind

__all__ = ["Event", "Link", "Progress", "refused"]

_ANSWER_WITHIN_S = 15.0
_KEPT_TEXT_BYTES = 8 * 1024 * 1024


class Progress(msgspec.Struct, frozen=True):
    """How much of a prompt was read."""

    total: int
    cache: int
    processed: int


class Event(msgspec.Struct, frozen=True):
    """One event of a completion."""

    content: str = ""
    tokens: list[int] = []
    stop: bool = False
    stop_type: str = "none"
    tokens_predicted: int = 0
    prompt_progress: Progress | None = None


class _Tokens(msgspec.Struct, frozen=True):
    tokens: list[int]


class _Refusal(msgspec.Struct, frozen=True):
    type: str = ""


class _Refused(msgspec.Struct, frozen=True):
    error: _Refusal = _Refusal()


class Link:
    """Requests to the child process. Raises ``EngineError``: unavailable where it is not there, else failed."""

    def __init__(self, http: UnixHttp) -> None:
        self._http = http
        self._texts = TextCache(_KEPT_TEXT_BYTES)
        self._marks: dict[Mark, int] = {}

    async def alive(self) -> bool:
        """Whether the child process takes requests."""
        with _translated():
            return await self._http.listened_to()

    @property
    def knows_marks(self) -> bool:
        return bool(self._marks)

    async def learn_marks(self) -> None:
        """Look up the control tokens. Raises ``EngineError`` if the model has none of ChatML."""
        found: dict[Mark, int] = {}
        for mark in (START, END):
            tokens = await self._tokenize([mark.text], special=True)
            if len(tokens) != 1:
                raise EngineError(EngineErrorKind.FAILED, "this model does not use the ChatML format")
            found[mark] = tokens[0]
        self._marks = found

    async def tokens_of(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text; control tokens in them are mere characters."""
        unknown = [text for text in dict.fromkeys(texts) if text and self._texts.get(text) is None]
        found = dict(zip(unknown, await self._tokenize_apart(unknown), strict=True)) if unknown else {}
        for text, tokens in found.items():
            self._texts.put(text, tokens)
        return [found.get(text) or self._texts.get(text) or [] for text in texts]

    async def tokens_of_parts(self, parts: Sequence[Part]) -> list[int]:
        tokens = await self.tokens_of([part for part in parts if isinstance(part, str)])
        texts = iter(tokens)
        return [token for part in parts for token in (next(texts) if isinstance(part, str) else [self._marks[part]])]

    async def complete(self, payload: dict[str, Any], listener: StreamListener) -> Exchange:
        """Read a prompt and write its continuation, told event by event."""
        with _translated():
            return await self._http.stream("/completion", payload, listener)

    async def save_slot(self, index: int, name: str) -> bool:
        """Write what was read into a slot to a file; False if that failed."""
        return (await self._post(f"/slots/{index}?action=save", {"filename": name})).ok

    async def restore_slot(self, index: int, name: str) -> bool:
        """Put it back into any slot; False if that failed."""
        return (await self._post(f"/slots/{index}?action=restore", {"filename": name})).ok

    # --- tokens ---------------------------------------------------------------------------------------------------

    async def _tokenize_apart(self, texts: Sequence[str]) -> list[list[int]]:
        """Many texts in one request, told apart by a control token, which no text can hold."""
        end = self._marks[END]
        content: list[str | int] = [part for text in texts for part in (text, end)]
        split: list[list[int]] = [[]]
        for token in await self._tokenize(content, special=False):
            if token == end:
                split.append([])
            else:
                split[-1].append(token)
        if len(split) != len(texts) + 1:
            raise EngineError(EngineErrorKind.FAILED, "the texts cannot be counted")
        return split[:-1]

    async def _tokenize(self, content: Sequence[str | int], *, special: bool) -> list[int]:
        payload = {"content": content, "add_special": False, "parse_special": special}
        reply = await self._post("/tokenize", payload)
        if not reply.ok:
            raise refused(reply)
        return msgspec.json.decode(reply.body, type=_Tokens).tokens

    async def _post(self, path: str, payload: Any) -> Reply:
        with _translated():
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                return await self._http.post(path, payload)


class _translated:  # noqa: N801 - used like a function
    """Turns what a connection raises into an ``EngineError``."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, TimeoutError):
            raise EngineError(EngineErrorKind.TIMEOUT, "the language model does not answer") from error
        if isinstance(error, OSError):
            raise EngineError(EngineErrorKind.UNAVAILABLE, "the language model is not there") from error


def refused(reply: Reply) -> EngineError:
    """The meaning of an answer other than 200; its text may repeat the prompt and is not passed on."""
    try:
        kind = msgspec.json.decode(reply.body, type=_Refused).error.type
    except msgspec.DecodeError:
        kind = ""
    if kind == "exceed_context_size_error":
        return EngineError(EngineErrorKind.CONTEXT_OVERFLOW, "the prompt is longer than the model's context")
    if kind == "unavailable_error":
        return EngineError(EngineErrorKind.UNAVAILABLE, "the language model is not ready")
    return EngineError(EngineErrorKind.FAILED, f"the language model refused the request ({reply.status})")
