"""The client against servers that lie about who they are, send without end, or mean harm."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from antiphon.mcp_client.addresses import named_networks
from antiphon.mcp_client.client import HttpMcpClient
from antiphon.mcp_client.http import HttpBounds
from antiphon.server.certificates import Certificate, self_signed, tls_context
from antiphon.vocabulary.mcp import McpError, McpServer
from tests.support.mcp_server import RunningServer, answering, running_app, running_mcp_server

LOOPBACK = named_networks(["127.0.0.1"], [])
NAME = "tools.example.com"


def run(main: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await main

    asyncio.run(bounded())


# --- TLS -----------------------------------------------------------------------------------------------------------


@dataclass
class SecureServer:
    server: RunningServer
    names: list[str | None] = field(default_factory=list)
    """That were asked for in handshakes (SNI)."""

    @property
    def url(self) -> str:
        return f"https://{NAME}:{self.server.port}/mcp"


@asynccontextmanager
async def secure_server(certificate: Certificate) -> AsyncIterator[SecureServer]:
    context = tls_context(certificate)
    async with running_mcp_server(tls=context) as server:
        secure = SecureServer(server)

        def noted(_: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> None:
            secure.names.append(name)

        context.sni_callback = noted
        yield secure


async def at_loopback(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.1"]


def trusting(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> HttpMcpClient:
    """As an operator has a private authority trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.authority))
    return HttpMcpClient(LOOPBACK, resolve=at_loopback)


def test_the_connection_goes_to_the_checked_address_and_the_name_is_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        certificate = self_signed([NAME], tmp_path)
        client = trusting(certificate, monkeypatch)
        async with secure_server(certificate) as secure:
            async with client.connect(McpServer(secure.url)) as connection:
                assert await connection.call_tool("find", {"city": "Bonn"}) == "It rains in Bonn."
            assert set(secure.names) == {NAME}
            assert {headers["host"] for _, _, headers in secure.server.requests} == {f"{NAME}:{secure.server.port}"}

    run(main())


@pytest.mark.parametrize("wrong", ["authority", "name"])
def test_a_server_with_a_wrong_certificate_is_not_spoken_to(
    wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        certificate = self_signed(["other.example.com" if wrong == "name" else NAME], tmp_path / "servers")
        trusted = self_signed([NAME], tmp_path / "trusted") if wrong == "authority" else certificate
        client = trusting(trusted, monkeypatch)
        async with secure_server(certificate) as secure:
            with pytest.raises(McpError) as raised:
                async with client.connect(McpServer(secure.url, "token-1")):
                    pass
            assert raised.value.fault.kind == "http"
            assert "certificate verify failed" in raised.value.fault.message.lower().replace("_", " ")
            assert not secure.server.requests

    run(main())


# --- what is answered ----------------------------------------------------------------------------------------------


def test_a_call_of_a_tool_asks_for_no_list() -> None:
    async def main() -> None:
        async with (
            running_mcp_server() as server,
            HttpMcpClient(LOOPBACK).connect(McpServer(f"http://{server.host}/mcp")) as connection,
        ):
            await connection.call_tool("find", {"city": "Bonn"})
            assert "tools/list" not in {headers.get("mcp-method") for _, _, headers in server.requests}

    run(main())


def test_a_list_that_goes_on_page_after_page_is_bounded_in_size() -> None:
    tool = {"name": "find", "inputSchema": {"type": "object"}, "description": "x" * 30_000}

    async def main() -> None:
        client = HttpMcpClient(LOOPBACK, bounds=HttpBounds(reply_bytes=100_000))
        async with (
            running_app(answering({"tools/list": {"tools": [tool], "nextCursor": "more"}})) as server,
            client.connect(McpServer(f"http://{server.host}/mcp")) as connection,
        ):
            with pytest.raises(McpError) as raised:
                await connection.list_tools()
            assert "too large" in raised.value.fault.message

    run(main())
