"""The file of stored prompts: each id with its versions, each version a partial session.

::

    [pmpt_greeter]
    current = "2"                        # for references without a version; else the last one of the file

    [pmpt_greeter.versions.1]
    instructions = "Greet {{name}}."

    [pmpt_greeter.versions.2]
    instructions = "Greet {{name}} in {{language}}."
    audio.output.voice = "cedar"
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from antiphon.core.limits import Limits
from antiphon.core.session_update import check_instructions, check_tools
from antiphon.core.stored_prompts import StoredPrompt, StoredPrompts
from antiphon.protocol.base import given
from antiphon.protocol.codec import decode_body
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.session_config import McpTool, RealtimeSessionUpdate

__all__ = ["PromptsError", "read_prompts"]

_MOST_BYTES = 4 * 1024 * 1024
_NOT_STORED = ("type", "model", "prompt")
"""What a stored prompt cannot set."""


class PromptsError(Exception):
    """The file cannot be used; the message is one line that says why."""


def read_prompts(path: Path, limits: Limits) -> StoredPrompts:
    """Raises ``PromptsError``."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise PromptsError(f"{path} is larger than {_MOST_BYTES} bytes")
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PromptsError(f"{path} cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PromptsError(f"{path} is not valid TOML: {error}") from error
    return {prompt_id: _prompt(prompt_id, table, limits) for prompt_id, table in tables.items()}


def _prompt(prompt_id: str, table: Any, limits: Limits) -> StoredPrompt:
    if not isinstance(table, Mapping) or set(table) - {"current", "versions"}:
        raise PromptsError(f"{prompt_id}: expected a table with 'versions' and, if you like, 'current'")
    versions = table.get("versions")
    if not isinstance(versions, Mapping) or not versions:
        raise PromptsError(f"{prompt_id}: it has no versions: add a table [{prompt_id}.versions.1]")
    current = str(table.get("current", list(versions)[-1]))
    if current not in versions:
        raise PromptsError(f"{prompt_id}.current: there is no version {current!r}")
    return StoredPrompt(
        current, {name: _version(f"{prompt_id}.versions.{name}", body, limits) for name, body in versions.items()}
    )


def _version(place: str, body: Any, limits: Limits) -> RealtimeSessionUpdate:
    if not isinstance(body, Mapping):
        raise PromptsError(f"{place}: expected a table of session fields, such as 'instructions'")
    if excluded := [name for name in _NOT_STORED if name in body]:
        raise PromptsError(f"{place}: a stored prompt cannot set '{excluded[0]}'")
    text = msgspec.json.encode({"type": "realtime", **body})
    try:
        stored = decode_body(text, RealtimeSessionUpdate, strict=True).event
        check_instructions(given(stored.instructions, ""), limits, "instructions")
        tools = given(stored.tools, [])
        check_tools(tools, limits, "tools")
    except ProtocolError as error:
        raise PromptsError(f"{place}: {error.message}") from error
    if any(isinstance(tool, McpTool) and (tool.authorization or tool.headers) for tool in tools):
        raise PromptsError(f"{place}: credentials of an MCP server cannot be stored; clients give their own")
    return stored
