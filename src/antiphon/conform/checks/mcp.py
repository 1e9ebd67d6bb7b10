"""Tools on remote servers: what a server that has none to reach has to refuse."""

import functools
from typing import Any

from antiphon.conform.check import Need, Rules, require
from antiphon.conform.probe import Probe

__all__ = ["RULES"]

RULES = Rules("mcp", "Tools on remote servers")

_TOOL = "API reference, the session object, tools, MCP tool"
_URL = "https://conform.invalid/mcp"


def _tool(**fields: Any) -> dict[str, Any]:
    return {"type": "mcp", "server_label": "conform", **fields}


async def _refused(tools: list[dict[str, Any]], probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.refusal("session.update", session={"type": "realtime", "tools": tools})
        after = await connection.configure()
        require(after.get("tools") == [], "no tools", after.get("tools"))


for _name, _title, _tools in (
    ("label-missing", "A tool without server_label is refused", [{"type": "mcp", "server_url": _URL}]),
    ("address-missing", "A tool without server_url, connector_id or tunnel_id is refused", [_tool()]),
    ("two-addresses", "A tool with both server_url and connector_id is refused",
     [_tool(server_url=_URL, connector_id="connector_gmail")]),
    ("label-twice", "Two tools of one server_label are refused", [_tool(server_url=_URL), _tool(server_url=_URL)]),
    ("approval", "An unknown require_approval is refused", [_tool(server_url=_URL, require_approval="sometimes")]),
):  # fmt: skip
    RULES.add(_name, _title, _TOOL, functools.partial(_refused, _tools), [Need.MCP])
