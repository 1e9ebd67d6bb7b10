"""The settings for people: what is in force (secrets masked), and the reference of what there is."""

import json
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from antiphon.engines.registry import EngineKind
from antiphon.server.masking import mask
from antiphon.server.settings import Settings, known_names

__all__ = ["reference", "settings_as_toml"]


def settings_as_toml(settings: Settings, chosen: Mapping[EngineKind, str] | None = None) -> str:
    """The settings in force as an ``antiphon.toml``; settings that are off stand as comments.

    ``chosen``: the engines that ``auto`` means here, said beside it.
    """
    sections: dict[str, list[str]] = {"": []}
    for path, _ in known_names():
        section, _, name = path.rpartition(".")
        holder = getattr(settings, section) if section else settings
        value = getattr(holder, name)
        line = _line(name, mask(name, value))
        if name == "engine" and value == "auto" and chosen is not None:
            line += f"  # {chosen.get(EngineKind(section), 'none')}"
        sections.setdefault(section, []).append(line)
    for kind in EngineKind:
        options = settings.section(kind).options
        sections[kind.value] += [_line(name, mask(name, value)) for name, value in options.items()]
    blocks = [("" if not section else f"\n[{section}]\n") + "\n".join(lines) for section, lines in sections.items()]
    return "\n".join(blocks) + "\n"


def reference() -> str:
    """The table of ``docs/reference/settings.md``."""
    rows = ["| setting | environment | default | meaning |", "| --- | --- | --- | --- |"]
    for path, field in known_names():
        variable = "ANTIPHON_" + path.upper().replace(".", "__")
        rows.append(f"| `{path}` | `{variable}` | {_default(field)} | {_meaning(path, field)} |")
    return "\n".join(rows) + "\n"


def _line(name: str, value: Any) -> str:
    return f"# {name} is not set" if value is None else f"{name} = {_toml(value)}"


def _toml(value: Any) -> str:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml(inner) for inner in value) + "]"
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return json.dumps(str(value), ensure_ascii=False)


def _default(field: FieldInfo) -> str:
    default = field.default
    if default is None or default == () or default is PydanticUndefined:
        return "none"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default}`"


def _meaning(path: str, field: FieldInfo) -> str:
    allowed = "; ".join(_bounds(field))
    text = field.description or ""
    section = path.partition(".")[0]
    if path.endswith(".engine") and section in tuple(EngineKind):
        text = f"{text} All other keys of `[{section}]` are options of that engine."
    return f"{text} ({allowed})" if allowed else text


def _bounds(field: FieldInfo) -> Iterator[str]:
    kinds = [kind for kind in get_args(field.annotation) if kind is not NoneType] or [field.annotation]
    if get_origin(field.annotation) is Literal:
        yield "one of " + ", ".join(f"`{choice}`" for choice in get_args(field.annotation))
    elif Path in kinds:
        yield "a path"
    for bound in field.metadata:
        for attribute, words in (("ge", "at least"), ("gt", "above"), ("le", "at most")):
            limit = getattr(bound, attribute, None)
            if limit is not None:
                yield f"{words} {limit}"
