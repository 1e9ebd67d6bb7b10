"""What a client gives to reach MCP servers: kept here alone.

The session, its log and whatever is shown hold references instead. They are made at random, and the same credential
has the same reference, so that a session sees whether one has changed.
"""

import secrets
from collections.abc import Sequence
from typing import Any

from msgspec import structs

from antiphon.core.mcp_definitions import check_credentials
from antiphon.protocol.base import given
from antiphon.protocol.client_events import ClientEvent, ResponseCreate, SessionUpdate
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.session_config import McpTool, RealtimeSessionUpdate, Tool
from antiphon.vocabulary.mcp import McpServer

__all__ = ["Credentials"]

_MOST = 256


class Credentials:
    """Of one session."""

    def __init__(self) -> None:
        self._references: dict[str, str] = {}
        self._values: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<{len(self._values)} credentials>"

    def sealed(self, event: ClientEvent) -> ClientEvent:
        """The event with references. Raises ``ProtocolError`` where a credential cannot be used."""
        match event:
            case SessionUpdate(session=RealtimeSessionUpdate(tools=list() as tools) as session):
                sealed = self.sealed_tools(tools, "session.tools")
                return structs.replace(event, session=structs.replace(session, tools=sealed))
            case ResponseCreate(response=response) if response and response.tools:
                sealed = self.sealed_tools(response.tools, "response.tools")
                return structs.replace(event, response=structs.replace(response, tools=sealed))
        return event

    def sealed_tools(self, tools: Sequence[Tool], param: str) -> list[Tool]:
        """The tools with references. Raises ``ProtocolError`` where a credential cannot be used."""
        return [
            self._tool(tool, f"{param}[{index}]") if isinstance(tool, McpTool) else tool
            for index, tool in enumerate(tools)
        ]

    def opened(self, server: McpServer) -> McpServer:
        """The server with its credentials."""
        return McpServer(
            server.url,
            None if server.authorization is None else self._values[server.authorization],
            tuple((name, self._values[value]) for name, value in server.headers),
        )

    def _tool(self, tool: McpTool, place: str) -> McpTool:
        check_credentials(tool, place)
        changes: dict[str, Any] = {}
        if isinstance(tool.authorization, str):
            changes["authorization"] = self._reference(tool.authorization, place)
        if headers := given(tool.headers, {}):
            changes["headers"] = {name: self._reference(value, place) for name, value in headers.items()}
        return structs.replace(tool, **changes)

    def _reference(self, value: str, place: str) -> str:
        known = self._references.get(value)
        if known is not None:
            return known
        if len(self._values) >= _MOST:
            raise ProtocolError(
                "invalid_value",
                f"Invalid '{place}': a session may use at most {_MOST} different credentials and header values.",
                place,
            )
        reference = f"credential_{secrets.token_hex(8)}"
        self._references[value] = reference
        self._values[reference] = value
        return reference
