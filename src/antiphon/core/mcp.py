"""The MCP servers of a session: what was defined, and the lists of their tools as items of the conversation."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from antiphon.core.conversation import Conversation, Entry
from antiphon.core.effects import Cause, Effects, sendable
from antiphon.core.inputs import McpListFailed, McpToolsListed
from antiphon.core.limits import Limits
from antiphon.core.mcp_definitions import McpDefinition, defined_servers
from antiphon.core.outputs import ListMcpTools, StopMcp
from antiphon.core.tool_offer import OfferedTool
from antiphon.protocol.base import UNSET
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.items import McpListTools, McpToolDescription
from antiphon.protocol.json_text import is_deeper
from antiphon.protocol.server_events import (
    ConversationItemAdded,
    ConversationItemDone,
    McpListToolsCompleted,
    McpListToolsFailed,
    McpListToolsInProgress,
)
from antiphon.protocol.session_config import McpTool, Tool
from antiphon.vocabulary.mcp import McpToolInfo

__all__ = ["Mcp"]

_NAME_CHARS = 256
_LEVELS_AROUND = 8
"""An input schema stands that deep in an event."""


@dataclass(slots=True)
class _Listing:
    definition: McpDefinition
    entry: Entry
    cause: Cause | None
    running: bool = True
    failed: bool = False
    tools: tuple[McpToolInfo, ...] = ()
    """All of them; a definition says which may be used."""


class Mcp:
    def __init__(self, effects: Effects, conversation: Conversation, limits: Limits) -> None:
        self._effects = effects
        self._conversation = conversation
        self._limits = limits
        self._known: dict[str, McpDefinition] = {}
        """By label, for the rest of the session."""
        self._session: dict[str, McpDefinition] = {}
        """Those of the session's tools."""
        self._listings: dict[str, _Listing] = {}
        """The newest of each label."""

    # --- definitions -----------------------------------------------------------------------------------------------

    def defined(self, tools: Sequence[Tool], param: str) -> dict[str, McpDefinition]:
        """The definitions among the tools of an event. Raises ``ProtocolError``; changes nothing."""
        return defined_servers(tools, self._known, self._limits, param)

    def completed(self, tools: Sequence[Tool], defined: Mapping[str, McpDefinition]) -> list[Tool]:
        """The tools as the session shows them: a label alone becomes what it stands for."""
        return [defined[tool.server_label].shown if isinstance(tool, McpTool) else tool for tool in tools]

    def use_for_session(self, defined: Mapping[str, McpDefinition]) -> None:
        """From now on these are the session's servers; what was not listed yet is listed."""
        self._known |= defined
        for label in self._session.keys() - defined.keys():
            self._supersede(label)
        self._session = dict(defined)
        for label, definition in defined.items():
            listing = self._listings.get(label)
            if listing is None or listing.failed or not definition.lists_like(listing.definition):
                self._list(definition)

    def use_for_response(self, defined: Mapping[str, McpDefinition]) -> None:
        self._known |= defined
        for label, definition in defined.items():
            listing = self._listings.get(label)
            if listing is None or listing.failed or definition.server != listing.definition.server:
                self._list(definition)

    @property
    def for_session(self) -> Mapping[str, McpDefinition]:
        return self._session

    # --- lists -----------------------------------------------------------------------------------------------------

    def is_listing(self, labels: Iterable[str]) -> bool:
        return any(label in self._listings and self._listings[label].running for label in labels)

    def tools(self, definitions: Iterable[McpDefinition]) -> list[OfferedTool]:
        """What is known by now of the tools that these definitions allow."""
        return [
            OfferedTool(definition, info)
            for definition in definitions
            if (listing := self._listings.get(definition.label)) is not None
            and listing.definition.server == definition.server
            for info in listing.tools
            if definition.allows(info)
        ]

    def listed(self, fact: McpToolsListed) -> None:
        listing = self._running(fact.item_id)
        if listing is None:
            return
        try:
            item, size_bytes = self._list_item(listing, fact.tools)
        except ValueError as error:
            self._failed(listing, str(error))
            return
        listing.running = False
        listing.tools = fact.tools
        listing.entry.item = item
        listing.entry.received_bytes = size_bytes
        self._effects.emit(McpListToolsCompleted(event_id=self._effects.event_id(), item_id=listing.entry.id))
        self._done(listing)

    def list_failed(self, fact: McpListFailed) -> None:
        listing = self._running(fact.item_id)
        if listing is not None:
            self._failed(listing, fact.fault.message)

    def stop_all(self) -> None:
        """The session ends; nobody is left to be told."""
        for listing in self._listings.values():
            if listing.running:
                self._effects.order(StopMcp(listing.entry.id))
        self._listings.clear()

    # --- steps -----------------------------------------------------------------------------------------------------

    def _running(self, item_id: str) -> _Listing | None:
        listings = (listing for listing in self._listings.values() if listing.running)
        return next((listing for listing in listings if listing.entry.id == item_id), None)

    def _list(self, definition: McpDefinition) -> None:
        self._supersede(definition.label)
        item_id = self._effects.new_id("item")
        entry = Entry(McpListTools(id=item_id, server_label=definition.label, tools=[]), item_id)
        self._listings[definition.label] = _Listing(definition, entry, self._effects.cause)
        previous = self._conversation.add(entry)
        self._effects.emit(
            ConversationItemAdded(event_id=self._effects.event_id(), previous_item_id=previous, item=entry.item)
        )
        self._effects.emit(McpListToolsInProgress(event_id=self._effects.event_id(), item_id=item_id))
        self._effects.order(ListMcpTools(item_id, definition.label, definition.server))

    def _supersede(self, label: str) -> None:
        """A list that is not there yet is wanted no more."""
        listing = self._listings.pop(label, None)
        if listing is not None and listing.running:
            self._effects.order(StopMcp(listing.entry.id))
            self._emit_failed(listing)

    def _failed(self, listing: _Listing, message: str) -> None:
        listing.running, listing.failed = False, True
        self._emit_failed(listing)
        # The event says no more than that it failed.
        error = ProtocolError(
            "mcp_list_tools_failed",
            f"The tools of the MCP server '{listing.definition.label}' cannot be listed: {sendable(message)}",
            event_id=listing.cause.event_id if listing.cause else None,
            type="server_error",
        )
        self._effects.emit(error.as_event(self._effects.event_id()), listing.cause.origin if listing.cause else None)

    def _emit_failed(self, listing: _Listing) -> None:
        self._effects.emit(McpListToolsFailed(event_id=self._effects.event_id(), item_id=listing.entry.id))
        self._done(listing)

    def _done(self, listing: _Listing) -> None:
        entry = listing.entry
        if self._conversation.get(entry.id) is entry:
            previous = self._conversation.previous_id(entry.id)
            self._effects.emit(
                ConversationItemDone(event_id=self._effects.event_id(), previous_item_id=previous, item=entry.item)
            )

    def _list_item(self, listing: _Listing, tools: Sequence[McpToolInfo]) -> tuple[McpListTools, int]:
        """Raises ``ValueError`` that says why these tools cannot be taken."""
        if len(tools) > self._limits.mcp_tools:
            raise ValueError(f"it has {len(tools)} tools, at most {self._limits.mcp_tools} are taken")
        for tool in tools:
            self._check_tool(tool)
        allowed = [_described(tool) for tool in tools if listing.definition.allows(tool)]
        item = McpListTools(id=listing.entry.id, server_label=listing.definition.label, tools=allowed)
        try:
            size_bytes = len(msgspec.json.encode(tools))
        except UnicodeEncodeError:
            raise ValueError("a description of a tool is not Unicode") from None
        most = min(self._limits.tools_bytes, self._limits.room_bytes)
        if size_bytes > most:
            raise ValueError(f"the descriptions of its tools hold {size_bytes} bytes, at most {most} are taken")
        if self._conversation.received_bytes + size_bytes > self._limits.text_bytes:
            raise ValueError("lists and outputs of MCP servers fill the conversation; delete some of these items")
        return item, size_bytes

    def _check_tool(self, tool: McpToolInfo) -> None:
        if not 1 <= len(tool.name) <= _NAME_CHARS or not tool.name.isprintable():
            raise ValueError(f"the name of a tool is not of 1 to {_NAME_CHARS} printable characters")
        levels = self._limits.nesting - _LEVELS_AROUND
        if is_deeper(tool.input_schema, levels) or is_deeper(tool.annotations, levels):
            raise ValueError(f"the description of its tool '{tool.name}' is nested deeper than {levels} levels")


def _described(tool: McpToolInfo) -> McpToolDescription:
    # The description is always there: the JavaScript Agents SDK drops a list without it.
    return McpToolDescription(
        name=tool.name,
        description=tool.description,
        input_schema=tool.input_schema,
        annotations=UNSET if tool.annotations is None else tool.annotations,
    )
