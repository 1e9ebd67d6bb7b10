"""Scenarios: the protocol as tables. A script is played line by line; every output must be expected, in its order.

::

    > response.create response.metadata={"a": "b"}    a client event; dotted keys, values as JSON or a bare word
    >1 response.cancel                                the same, of a sideband
    < response.created response.id=$r                 the next event; only the named fields are compared
    <1 error error.code=invalid_value                 the same, for that sideband only (<0: for the client only)
    ! StartResponse response_id=$r prompt=["user: hi"]  the next order
    << text opens                                     a block of blocks.toml: several such lines
    . text $r Hello there.                            a fact (see ``script_facts.py``)
    @ 31.5                                            it is now 31.5 s
    # anything                                        a comment

``%png`` (``%jpeg``, ``%webp``) is the data URL of a small image. ``$r`` is an id: named where it is first expected,
compared from then on; two names never mean the same id. Expected
``*`` is any value, ``-`` an absent field; objects may have further fields, arrays must have the same length. The orders
of ``_QUIET`` need to be expected only by scripts that name them; neighbouring ``FeedTranscription`` count as one.
"""

import dataclasses
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from antiphon.core.config import TurnPolicy
from antiphon.core.limits import Limits
from antiphon.core.outputs import Emit, FeedTranscription, Output, PrefillPrompt, StartResponse
from antiphon.vocabulary.llm import (
    AssistantMessage,
    AudioContent,
    ChatMessage,
    ImageContent,
    LlmCapabilities,
    LlmRequest,
    NamedTool,
    SystemMessage,
    ToolMessage,
    UserContent,
    UserMessage,
)
from tests.support.images import TINY
from tests.support.script_facts import FACTS
from tests.support.session import Driver, config, payload_of

__all__ = ["SCENARIOS", "Scenario", "play", "prompt_line", "scenarios"]

SCENARIOS: Final = Path(__file__).parents[1] / "scenarios"
_QUIET: Final = (
    "AskHypothesis",
    "BargeInJudged",
    "FeedTranscription",
    "MeasureItem",
    "StartTranscription",
    "TurnClosed",
)
_NAME: Final = re.compile(r"\$\w+")
_IMAGE: Final = re.compile("|".join(TINY))
_ASSIGNMENT: Final = re.compile(r"\s*([A-Za-z_][\w.\[\]]*)=")
_BARE: Final = re.compile(r"\S+")
_JSON_START: Final = re.compile(r'[\[{"\d-]|true\b|false\b|null\b')
_STEP: Final = re.compile(r"(\w+)|\[(\d+)\]")
_ABSENT: Final = object()


@dataclasses.dataclass(frozen=True)
class Scenario:
    """One case of a table."""

    file: str
    rule: str
    script: str
    settings: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.file}: {self.rule}"


def scenarios() -> list[Scenario]:
    return [scenario for path in sorted(SCENARIOS.glob("*.toml")) for scenario in _of_file(path)]


def _of_file(path: Path) -> Iterator[Scenario]:
    table = tomllib.loads(path.read_text("utf-8"))
    for case in table.get("scenario", ()):
        settings = {**table.get("settings", {}), **case}
        yield Scenario(path.stem, settings.pop("rule"), settings.pop("script"), settings)


def _blocks() -> dict[str, list[str]]:
    table = tomllib.loads((SCENARIOS / "blocks.toml").read_text("utf-8"))
    return {name: _lines(text) for name, text in table.items()}


def _lines(script: str) -> list[str]:
    stripped = (line.strip() for line in script.splitlines())
    return [line for line in stripped if line and not line.startswith("#")]


def play(scenario: Scenario) -> Driver:
    """Run the script. Fails at the first line that is not what happened."""
    return _Player(scenario).play()


# --- playing -------------------------------------------------------------------------------------------------------


class _Player:
    def __init__(self, scenario: Scenario) -> None:
        settings = dict(scenario.settings)
        opened = settings.pop("opened", True)
        limits = Limits(**settings.pop("limits", {}))
        capabilities = LlmCapabilities(**settings.pop("capabilities", {}))
        turns = TurnPolicy(**settings.pop("turns", {}))
        self.driver = Driver(config(**settings, capabilities=capabilities, turns=turns), limits)
        self._lines = list(_expanded(_lines(scenario.script)))
        self._ids: dict[str, str] = {}
        self._waiting: list[Output] = []
        named = {line.split()[1] for line in self._lines if line.startswith("!")}
        self._quiet = {name for name in _QUIET if name not in named}
        if opened:
            self.driver.open()
            self.driver.take()

    def play(self) -> Driver:
        for line in self._lines:
            mark, _, rest = line.partition(" ")
            try:
                self._step(mark, rest.strip())
            except AssertionError as error:
                raise AssertionError(f"{line}\n{error}") from None
        self._assert_all_expected()
        return self.driver

    def _step(self, mark: str, rest: str) -> None:
        if mark[0] in "<!":
            self._expect(mark, rest)
            return
        self._assert_all_expected()
        if mark == "@":
            self.driver.now = float(rest)
        elif mark[0] == ">":
            name, fields = _parsed(self._with_ids(rest))
            self.driver.send_text(json.dumps({"type": name, **_nested(fields)}), int(mark[1:] or 0))
        elif mark == ".":
            name, _, arguments = self._with_ids(rest).partition(" ")
            FACTS[name](self.driver, arguments.strip())
        else:
            raise AssertionError(f"a line begins with one of > < << ! . @ #, not {mark}")
        self._waiting = list(_joined(out for out in self.driver.take() if type(out).__name__ not in self._quiet))

    def _assert_all_expected(self) -> None:
        seen = "\n".join(_described(output) for output in self._waiting)
        assert not self._waiting, f"before that line these were not expected:\n{seen}"

    def _expect(self, mark: str, rest: str) -> None:
        name, fields = _parsed(rest)
        assert self._waiting, "nothing more came"
        output = self._waiting.pop(0)
        described = _described(output)
        view = payload_of(output.event) if isinstance(output, Emit) else _view(output)
        actual = view["type"] if isinstance(output, Emit) else type(output).__name__
        assert (mark[0] == "<") == isinstance(output, Emit), f"came instead:\n{described}"
        if isinstance(output, Emit) and mark != "<":
            assert output.origin == int(mark[1:]), f"it goes to {output.origin}:\n{described}"
        assert actual == name, f"came instead:\n{described}"
        for path, wanted in fields.items():
            found = _at(view, path)
            assert self._fits(found, wanted), f"{path} is {_shown(found)} in:\n{described}"

    # --- values ----------------------------------------------------------------------------------------------------

    def _with_ids(self, text: str) -> str:
        return _NAME.sub(lambda match: self._ids[match.group()], text)

    def _fits(self, found: Any, wanted: Any) -> bool:
        if wanted == "*" or wanted == "-":
            return bool((found is not _ABSENT) == (wanted == "*"))
        if isinstance(wanted, str) and _NAME.fullmatch(wanted):
            return self._names(wanted, found)
        if isinstance(wanted, dict):
            return isinstance(found, dict) and all(
                self._fits(found.get(key, _ABSENT), value) for key, value in wanted.items()
            )
        if isinstance(wanted, list):
            return isinstance(found, list) and len(found) == len(wanted) and all(map(self._fits, found, wanted))
        return type(found) is type(wanted) and bool(found == wanted)

    def _names(self, name: str, found: Any) -> bool:
        known = self._ids.get(name)
        if known is not None:
            return bool(found == known)
        if not isinstance(found, str) or found in self._ids.values():
            return False
        self._ids[name] = found
        return True


def _expanded(lines: list[str]) -> Iterator[str]:
    blocks = _blocks()
    for line in lines:
        if line.startswith("<<"):
            yield from _expanded(blocks[line.removeprefix("<<").strip()])
        else:
            yield _IMAGE.sub(lambda match: TINY[match.group()], line)


def _joined(outputs: Iterable[Output]) -> Iterator[Output]:
    last: Output | None = None
    for output in outputs:
        if (
            isinstance(last, FeedTranscription)
            and isinstance(output, FeedTranscription)
            and last.item_id == output.item_id
        ):
            last = dataclasses.replace(output, pcm=last.pcm + output.pcm)
            continue
        if last is not None:
            yield last
        last = output
    if last is not None:
        yield last


def _parsed(text: str) -> tuple[str, dict[str, Any]]:
    """``name a.b=1 c=[2]`` as the name and its fields."""
    name, _, rest = text.partition(" ")
    fields: dict[str, Any] = {}
    at = 0
    while rest[at:].strip():
        match = _ASSIGNMENT.match(rest, at)
        assert match, f"expected field=value at: {rest[at:]}"
        fields[match.group(1)], at = _value(rest, match.end())
    return name, fields


def _value(text: str, at: int) -> tuple[Any, int]:
    if _JSON_START.match(text, at) and text[at : at + 2] not in ("-", "- "):
        value, end = json.JSONDecoder().raw_decode(text, at)
        return value, end
    match = _BARE.match(text, at)
    assert match, f"a value is missing at: {text}"
    return match.group(), match.end()


def _nested(fields: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for path, value in fields.items():
        *parents, last = path.split(".")
        inner = nested
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = value
    return nested


def _at(view: Any, path: str) -> Any:
    for name, index in _STEP.findall(path):
        if name:
            view = view.get(name, _ABSENT) if isinstance(view, dict) else _ABSENT
        else:
            view = view[int(index)] if isinstance(view, list) and int(index) < len(view) else _ABSENT
    return view


def _shown(found: Any) -> str:
    return "absent" if found is _ABSENT else json.dumps(found)[:1000]


# --- how outputs are read ------------------------------------------------------------------------------------------


def _described(output: Output) -> str:
    if isinstance(output, Emit):
        return f"< {json.dumps(payload_of(output.event))[:1500]}"
    return f"! {type(output).__name__} {json.dumps(_view(output), default=repr)[:1500]}"


def _view(output: Output) -> dict[str, Any]:
    if isinstance(output, StartResponse):
        speech = None if output.speech is None else dataclasses.asdict(output.speech)
        return {
            **_view_of_request(output.request),
            "response_id": output.response_id,
            "speech": speech,
            "draft": output.draft,
        }
    if isinstance(output, PrefillPrompt):
        return _view_of_request(output.request)
    return {
        field.name: value if isinstance(value, (str, int, type(None))) else _view_of_value(value)
        for field in dataclasses.fields(output)
        for value in [getattr(output, field.name)]
    }


def _view_of_value(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"bytes": len(value)}
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else json.loads(json.dumps(dataclasses.asdict(value)))


def _view_of_request(request: LlmRequest) -> dict[str, Any]:
    messages = list(request.messages)
    instructions = ""
    if messages and isinstance(messages[0], SystemMessage):
        instructions = messages.pop(0).text  # type: ignore[union-attr]
    choice = request.tool_choice
    return {
        "instructions": instructions,
        "prompt": [prompt_line(message) for message in messages],
        "tools": [tool.name for tool in request.tools],
        "tool_choice": {"name": choice.name} if isinstance(choice, NamedTool) else choice,
        "max_output_tokens": request.max_output_tokens,
        "parallel_tool_calls": request.parallel_tool_calls,
        "reasoning_effort": request.reasoning_effort,
    }


def prompt_line(message: ChatMessage) -> str:
    """A message of a prompt as scripts write it."""
    match message:
        case SystemMessage():
            return f"system: {message.text}"
        case UserMessage():
            return "user: " + " + ".join(_words(part) for part in message.content)
        case AssistantMessage():
            calls = [f"{call.name}({call.arguments})" for call in message.tool_calls]
            return " ".join(["assistant:", *filter(None, [message.text]), *calls])
        case ToolMessage():
            return f"result of {message.name}: {message.output}"


def _words(part: UserContent) -> str:
    match part:
        case ImageContent():
            return f"<image {part.detail}>"
        case AudioContent():
            return f"<{len(part.pcm) // 48} ms of audio>"
        case _:
            return part.text
