"""Lists and calls of MCP tools for one session: a connection for each server, open as long as the session."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Protocol, TypeAlias

from antiphon.core.inputs import McpCallFailed, McpCallFinished, McpListFailed, McpToolsListed
from antiphon.core.limits import Limits
from antiphon.core.outputs import CallMcpTool, ListMcpTools, StopMcp
from antiphon.runtime.credentials import Credentials
from antiphon.runtime.transcribing import Spawn
from antiphon.vocabulary.mcp import McpError, McpFault, McpServer, McpToolInfo

__all__ = ["McpClient", "McpConnection", "McpFact", "McpOrder", "McpWork"]

McpOrder: TypeAlias = ListMcpTools | CallMcpTool | StopMcp
McpFact: TypeAlias = McpToolsListed | McpListFailed | McpCallFinished | McpCallFailed

_OFF = McpFault("http", "MCP servers are off here.")


class McpConnection(Protocol):
    """Raises only ``McpError``. Calls may run at the same time; a cancelled one is stopped."""

    async def list_tools(self) -> Sequence[McpToolInfo]: ...
    async def call_tool(self, name: str, arguments: Mapping[str, Any]) -> str: ...


class McpClient(Protocol):
    def connect(self, server: McpServer) -> AbstractAsyncContextManager[McpConnection]:
        """A connection, entered and left in one task. Raises only ``McpError``."""


class _Link:
    """A connection, kept by a task of its own."""

    def __init__(self) -> None:
        self.connection: asyncio.Future[McpConnection] = asyncio.get_running_loop().create_future()
        self.users = 0
        self.over = asyncio.Event()

    async def run(self, client: McpClient, server: McpServer, connect_s: float) -> None:
        try:
            async with asyncio.timeout(connect_s) as patience, client.connect(server) as connection:
                patience.reschedule(None)
                self.connection.set_result(connection)
                await self.over.wait()
        except (McpError, TimeoutError) as error:
            fault = error.fault if isinstance(error, McpError) else _too_late(connect_s)
            if not self.connection.done():
                self.connection.set_exception(McpError(fault))
        finally:
            self.over.set()
            if not self.connection.done():
                self.connection.cancel()
            elif not self.connection.cancelled():
                self.connection.exception()  # nobody has to ask for it


class McpWork:
    """Performs the orders in tasks of the session and reports what comes of them."""

    def __init__(
        self,
        client: McpClient | None,
        credentials: Credentials,
        spawn: Spawn,
        *,
        report: Callable[[McpFact], None],
        limits: Limits,
    ) -> None:
        """``client`` None: the operator allows no servers."""
        self._client = client
        self._credentials = credentials
        self._spawn = spawn
        self._report = report
        self._limits = limits
        self._links: dict[McpServer, _Link] = {}
        """The longest unused first."""
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def perform(self, order: McpOrder) -> None:
        match order:
            case ListMcpTools():
                self._begin(order.item_id, partial(self._list, order))
            case CallMcpTool():
                self._begin(order.item_id, partial(self._call, order))
            case StopMcp():
                if task := self._tasks.pop(order.item_id, None):
                    task.cancel()

    def stop(self) -> None:
        """Nothing more is wanted; the connections are closed."""
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()
        for link in self._links.values():
            link.over.set()

    # --- one list or call ------------------------------------------------------------------------------------------

    def _begin(self, item_id: str, work: Callable[[], Awaitable[McpFact]]) -> None:
        self._tasks[item_id] = self._spawn(partial(self._run, item_id, work), f"mcp:{item_id}")

    async def _run(self, item_id: str, work: Callable[[], Awaitable[McpFact]]) -> None:
        fact = await work()
        # An order may come from what is reported: the place is free by then.
        self._tasks.pop(item_id, None)
        self._report(fact)

    async def _list(self, order: ListMcpTools) -> McpFact:
        try:
            async with asyncio.timeout(self._limits.mcp_list_s):
                tools = await self._using(order.server, lambda connection: connection.list_tools())
        except McpError as error:
            return McpListFailed(order.item_id, error.fault)
        except TimeoutError:
            return McpListFailed(order.item_id, _too_late(self._limits.mcp_list_s))
        return McpToolsListed(order.item_id, tuple(tools))

    async def _call(self, order: CallMcpTool) -> McpFact:
        try:
            async with asyncio.timeout(self._limits.mcp_call_s):
                output = await self._using(
                    order.server, lambda connection: connection.call_tool(order.name, order.arguments)
                )
        except McpError as error:
            return McpCallFailed(order.item_id, error.fault)
        except TimeoutError:
            return McpCallFailed(order.item_id, _too_late(self._limits.mcp_call_s))
        return McpCallFinished(order.item_id, output)

    async def _using(self, server: McpServer, use: Callable[[McpConnection], Awaitable[Any]]) -> Any:
        if self._client is None:
            raise McpError(_OFF)
        link = self._link(self._client, server)
        link.users += 1
        try:
            connection = await asyncio.shield(link.connection)
            return await use(connection)
        except McpError as error:
            if error.fault.kind != "tool":
                # It may be that the server has forgotten us: the next use connects anew.
                self._drop(server, link)
            raise
        finally:
            link.users -= 1
            if not link.users and self._links.get(server) is not link:
                link.over.set()

    # --- connections -----------------------------------------------------------------------------------------------

    def _link(self, client: McpClient, server: McpServer) -> _Link:
        link = self._links.pop(server, None)
        if link is None or link.over.is_set():
            self._make_room()
            link = _Link()
            run = partial(link.run, client, self._credentials.opened(server), self._limits.mcp_list_s)
            self._spawn(run, f"mcp connection {len(self._links)}")
        self._links[server] = link
        return link

    def _make_room(self) -> None:
        """Servers that were defined anew leave connections behind that nobody uses."""
        for server, link in list(self._links.items()):
            if len(self._links) < self._limits.mcp_servers:
                return
            if not link.users:
                self._drop(server, link)

    def _drop(self, server: McpServer, link: _Link) -> None:
        """No use of it begins any more; it is closed with the last one."""
        if self._links.get(server) is link:
            del self._links[server]
        if not link.users:
            link.over.set()


def _too_late(patience_s: float) -> McpFault:
    return McpFault("http", f"The server did not answer within {patience_s:g} s.")
