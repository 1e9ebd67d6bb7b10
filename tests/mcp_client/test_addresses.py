"""Addresses that a name may lead to, and connections that go nowhere else."""

import asyncio
import ipaddress
from collections.abc import Sequence
from typing import Any

import pytest

from antiphon.mcp_client.addresses import forbidden, named_networks
from antiphon.mcp_client.client import HttpMcpClient
from antiphon.vocabulary.mcp import McpError, McpFault, McpServer
from tests.support.mcp_server import running_app, running_mcp_server

PRIVATE = [
    "127.0.0.1",
    "127.8.9.1",
    "::1",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "fe80::1",
    "fc00::1",
    "fd00:ec2::254",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "2002:7f00:1::",
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "192.0.2.1",
    "240.0.0.1",
]
NEVER = ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "::ffff:0.0.0.0"]


@pytest.mark.parametrize("address", PRIVATE + NEVER)
def test_an_address_that_is_not_public_has_to_be_named(address: str) -> None:
    assert forbidden(ipaddress.ip_address(address), ())


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::93.184.216.34"])
def test_a_public_address_may_be_used(address: str) -> None:
    assert not forbidden(ipaddress.ip_address(address), ())


@pytest.mark.parametrize(
    ("address", "hosts", "networks"),
    [
        ("127.0.0.1", ["127.0.0.1"], []),
        ("127.0.0.1", ["localhost"], []),
        ("::1", ["localhost"], []),
        ("10.1.2.3", [], ["10.0.0.0/8"]),
        ("fd00::5", [], ["fd00::/8"]),
    ],
)
def test_a_named_address_may_be_used(address: str, hosts: list[str], networks: list[str]) -> None:
    assert not forbidden(ipaddress.ip_address(address), named_networks(hosts, networks))


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "224.0.0.1", "ff02::1"])
def test_some_addresses_may_not_even_be_named(address: str) -> None:
    assert forbidden(ipaddress.ip_address(address), named_networks([], ["0.0.0.0/0", "::/0"]))


def fault(client: HttpMcpClient, url: str) -> McpFault:
    async def main() -> McpFault:
        async with asyncio.timeout(20):
            with pytest.raises(McpError) as raised:
                async with client.connect(McpServer(url)):
                    pass
            return raised.value.fault

    return asyncio.run(main())


def test_a_name_that_leads_to_a_private_address_is_not_connected_to() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1", "169.254.169.254"]

    found = fault(HttpMcpClient(resolve=resolve), "http://tools.example.com:9/mcp")
    assert "not public" in found.message


def test_a_name_is_resolved_once_whatever_it_leads_to_later() -> None:
    asked: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    async def main() -> None:
        async with running_mcp_server() as server, asyncio.timeout(20):
            client = HttpMcpClient(named_networks(["127.0.0.1"], []), resolve=resolve)
            url = f"http://localhost:{server.port}/mcp"
            async with client.connect(McpServer(url)) as connection:
                await connection.list_tools()
                assert await connection.call_tool("find", {"city": "Bonn"}) == "It rains in Bonn."
            assert {headers["host"] for _, _, headers in server.requests} == {f"localhost:{server.port}"}

    asyncio.run(main())
    assert asked == ["localhost"]


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        (307, [(b"location", b"/elsewhere")], "redirects"),
        (302, [(b"location", b"http://169.254.169.254/")], "redirects"),
        (200, [(b"content-type", b"application/json"), (b"content-encoding", b"gzip")], "compressed"),
        (503, [], "503"),
    ],
)
def test_a_reply_that_is_no_answer_fails_and_is_not_followed(status: int, headers: list[Any], words: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": f"{message['type']}.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def main() -> None:
        async with running_app(app) as server, asyncio.timeout(20):
            client = HttpMcpClient(named_networks(["127.0.0.1"], []))
            with pytest.raises(McpError) as raised:
                async with client.connect(McpServer(f"http://{server.host}/mcp")):
                    pass
            assert words in raised.value.fault.message
            assert {path for _, path, _ in server.requests} == {"/mcp"}

    asyncio.run(main())
