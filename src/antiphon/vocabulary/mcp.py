"""What a session asks of an MCP server, and what comes back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["McpError", "McpFault", "McpFaultKind", "McpServer", "McpToolInfo"]

McpFaultKind = Literal["protocol", "http", "tool"]
"""The server broke or refused the protocol; it could not be reached or refused the request; the tool itself failed."""


@dataclass(frozen=True, slots=True)
class McpServer:
    """How a server is reached. Two servers that are equal share a connection.

    In a session ``authorization`` and the values of ``headers`` are references; only the runtime knows what they are.
    """

    url: str
    authorization: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class McpToolInfo:
    """A tool as its server describes it."""

    name: str
    input_schema: Mapping[str, Any]
    description: str = ""
    annotations: Mapping[str, Any] | None = None

    @property
    def read_only(self) -> bool:
        return bool(self.annotations) and (self.annotations or {}).get("readOnlyHint") is True


@dataclass(frozen=True, slots=True)
class McpFault:
    """Why a list or a call failed, in words that may be shown to the client and the model."""

    kind: McpFaultKind
    message: str
    code: int = 0
    """Of JSON-RPC for ``protocol``, the HTTP status for ``http`` (0: no answer came)."""


class McpError(Exception):
    """The only exception that a client of MCP servers raises."""

    def __init__(self, fault: McpFault) -> None:
        super().__init__(fault.message)
        self.fault = fault
