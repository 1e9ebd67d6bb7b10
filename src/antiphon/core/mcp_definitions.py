"""MCP servers as a client defines them: what is legal, which of their tools may be used, which need approval.

A definition is known by its label for the rest of the session; a later one may give the label alone. What is secret in
it (``authorization``, ``headers``) is kept apart from the session that is shown.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from msgspec import structs

from antiphon.core.limits import Limits
from antiphon.core.mcp_urls import checked_url
from antiphon.protocol.base import UNSET, Opt, given
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.session_config import McpApprovalFilter, McpTool, McpToolFilter, Tool
from antiphon.vocabulary.mcp import McpServer, McpToolInfo

__all__ = ["McpDefinition", "check_credentials", "defined_servers", "shown_tools"]

_HEADERS_MAX = 32
_HEADER_CHARS = 8 * 1024
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_OUR_HEADERS = frozenset(
    {
        "accept",
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "last-event-id",
        "mcp-protocol-version",
        "mcp-session-id",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that belong to the connection or the protocol; ``proxy-*`` too."""


@dataclass(frozen=True, slots=True)
class McpDefinition:
    label: str
    server: McpServer
    description: str
    allowed: tuple[str, ...] | None
    """Names; None: all."""
    read_only: bool | None
    """Only tools that are marked so, or are not; None: all."""
    approval: Literal["always", "never"] | McpApprovalFilter
    shown: McpTool
    """As the session shows it, without what is secret."""

    def lists_like(self, other: "McpDefinition | None") -> bool:
        """Whether the same tools would be listed."""
        return other is not None and (self.server, self.allowed, self.read_only) == (
            other.server,
            other.allowed,
            other.read_only,
        )

    def allows(self, tool: McpToolInfo) -> bool:
        return (self.allowed is None or tool.name in self.allowed) and (
            self.read_only is None or tool.read_only == self.read_only
        )

    def needs_approval(self, tool: McpToolInfo) -> bool:
        """The default is always; a tool that both filters name needs it."""
        if isinstance(self.approval, str):
            return self.approval == "always"
        if _matches(self.approval.always, tool):
            return True
        return not _matches(self.approval.never, tool)


def _matches(filter: Opt[McpToolFilter], tool: McpToolInfo) -> bool:
    """Whether a tool fulfils all that a filter asks; one that asks nothing matches nothing."""
    if not filter:
        return False
    names, read_only = given(filter.tool_names, None), given(filter.read_only, None)
    if names is None and read_only is None:
        return False
    return (names is None or tool.name in names) and (read_only is None or tool.read_only == read_only)


def shown_tools(tools: Sequence[Tool]) -> list[Tool]:
    """The tools without what is secret in them."""
    return [
        structs.replace(tool, authorization=UNSET, headers=UNSET) if isinstance(tool, McpTool) else tool
        for tool in tools
    ]


def defined_servers(
    tools: Sequence[Tool], known: Mapping[str, McpDefinition], limits: Limits, param: str
) -> dict[str, McpDefinition]:
    """The definitions among ``tools`` by label; those of a label alone are what is ``known``, with what is given.

    Raises ``ProtocolError``.
    """
    defined: dict[str, McpDefinition] = {}
    for index, tool in enumerate(tools):
        if isinstance(tool, McpTool):
            defined[tool.server_label] = _defined(tool, known.get(tool.server_label), limits, f"{param}[{index}]")
    if len(known.keys() | defined.keys()) > limits.mcp_servers:
        raise ProtocolError(
            "invalid_value",
            f"Invalid '{param}': a session may define at most {limits.mcp_servers} MCP servers, under as many labels.",
            param,
        )
    return defined


def _defined(tool: McpTool, known: McpDefinition | None, limits: Limits, place: str) -> McpDefinition:
    check_credentials(tool, place)
    for field, address in (("connector_id", tool.connector_id), ("tunnel_id", tool.tunnel_id)):
        if address:
            if tool.server_url:
                raise _invalid(f"{place}.{field}", "give either 'server_url' or another address, not both")
            raise _invalid(f"{place}.{field}", "it is not available on this server; give a 'server_url'")
    if tool.server_url:
        server = McpServer(checked_url(tool.server_url, limits.mcp_hosts, f"{place}.server_url"))
    elif known is not None:
        server = known.server
    else:
        raise ProtocolError(
            "missing_required_parameter",
            f"Missing required parameter: '{place}.server_url'. No MCP server is known as {tool.server_label!r} yet.",
            f"{place}.server_url",
        )
    if isinstance(tool.authorization, str) or tool.headers:
        headers = tuple(sorted((name.lower(), value) for name, value in (tool.headers or {}).items()))
        server = replace(server, authorization=given(tool.authorization, None), headers=headers)
    shown = tool if tool.server_url or known is None else _completed(tool, known.shown)
    return _definition(shown, server)


def _completed(tool: McpTool, known: McpTool) -> McpTool:
    """What a label stands for, with the fields that are given again."""
    sent = {field.name: getattr(tool, field.name) for field in structs.fields(tool)}
    return structs.replace(known, **{name: value for name, value in sent.items() if value is not UNSET})


def _definition(tool: McpTool, server: McpServer) -> McpDefinition:
    sent = given(tool.allowed_tools, None)
    filter = sent if isinstance(sent, McpToolFilter) else McpToolFilter(tool_names=sent)
    allowed = given(filter.tool_names, None)
    shown = structs.replace(tool, authorization=UNSET, headers=UNSET)
    return McpDefinition(
        label=tool.server_label,
        server=server,
        description=given(tool.server_description, ""),
        allowed=None if allowed is None else tuple(allowed),
        read_only=given(filter.read_only, None),
        approval=given(tool.require_approval, "always"),
        shown=shown,
    )


# --- credentials ---------------------------------------------------------------------------------------------------


def check_credentials(tool: McpTool, place: str) -> None:
    """Raises ``ProtocolError``, which never tells a value."""
    headers = given(tool.headers, {})
    if len(headers) > _HEADERS_MAX:
        raise _invalid(f"{place}.headers", f"{len(headers)} headers, at most {_HEADERS_MAX} are allowed")
    seen: set[str] = set()
    for name, value in headers.items():
        _check_header(name.lower(), value, seen, f"{place}.headers")
        seen.add(name.lower())
    authorization = given(tool.authorization, None)
    if authorization is None:
        return
    if "authorization" in seen:
        raise _invalid(
            f"{place}.authorization", "both 'authorization' and a header 'Authorization' are given; leave one out"
        )
    if not 1 <= len(authorization) <= _HEADER_CHARS or not _HEADER_VALUE.fullmatch(authorization):
        raise _invalid(f"{place}.authorization", f"expected 1 to {_HEADER_CHARS} printable ASCII characters")


def _check_header(name: str, value: str, seen: set[str], place: str) -> None:
    if not _HEADER_NAME.fullmatch(name):
        raise _invalid(place, "a name is no header name (RFC 9110 §5.1)")
    if name in _OUR_HEADERS or name.startswith("proxy-"):
        raise _invalid(place, f"'{name}' is set by this server and cannot be given")
    if name in seen:
        raise _invalid(place, f"'{name}' is given twice")
    if len(value) > _HEADER_CHARS or not _HEADER_VALUE.fullmatch(value):
        raise _invalid(place, f"the value of '{name}' is not of up to {_HEADER_CHARS} printable ASCII characters")


def _invalid(param: str, complaint: str) -> ProtocolError:
    return ProtocolError("invalid_value", f"Invalid '{param}': {complaint}.", param)
