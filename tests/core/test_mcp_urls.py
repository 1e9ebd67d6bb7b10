"""Which addresses of MCP servers a client may name: in one spelling, among those that the operator allows."""

import pytest

from antiphon.core.mcp_urls import allowed_host, checked_url
from antiphon.protocol.errors import ProtocolError

ALLOWED = ("tools.example.com", "127.0.0.1:9000", "http://tools.internal:8080", "[::1]:9000", "localhost:9000")


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("https://tools.example.com/mcp", "https://tools.example.com/mcp"),
        ("HTTPS://Tools.Example.com:443/mcp?a=b", "https://tools.example.com/mcp?a=b"),
        ("https://tools.example.com.", "https://tools.example.com/"),
        ("https://tools.example.com?a", "https://tools.example.com/?a"),
        ("http://127.0.0.1:9000/sse", "http://127.0.0.1:9000/sse"),
        ("https://127.0.0.1:9000", "https://127.0.0.1:9000/"),
        ("http://[0:0:0:0:0:0:0:1]:9000/", "http://[::1]:9000/"),
        ("http://localhost:9000/mcp", "http://localhost:9000/mcp"),
        ("http://tools.internal:8080", "http://tools.internal:8080/"),
    ],
)
def test_an_allowed_address_is_taken_in_its_plainest_spelling(url: str, plain: str) -> None:
    assert checked_url(url, ALLOWED, "url") == plain


@pytest.mark.parametrize(
    "url",
    [
        "http://tools.example.com/mcp",
        "https://tools.example.com:8443/mcp",
        "https://tools.internal:8080",
        "https://tools.example.com.evil.org",
        "https://evil.org/tools.example.com",
        "https://tools.example.com@evil.org/",
        "https://user:password@tools.example.com/",
        "https://tools.example.com#@evil.org/",
        "https://tools.example.com\\@evil.org/",
        "https://tools.example.com\r\n/",
        "https://tools.example.com /",
        "https://tools.example.com:0/",
        "https://tools.example.com:99999/",
        "https://tööls.example.com/",
        "ftp://tools.example.com/",
        "file:///etc/passwd",
        "//tools.example.com/",
        "tools.example.com",
        "",
        "https://" + "a" * 3000,
        "http://127.1:9000",
        "http://127.0.0.1:9001",
        "http://127.0.0.2:9000",
        "http://2130706433:9000",
        "http://0x7f000001:9000",
        "http://0x7f.0.0.1:9000",
        "http://0177.0.0.1:9000",
        "http://017700000001:9000",
        "http://0:9000",
        "http://0.0.0.0:9000",
        "http://[::ffff:127.0.0.1]:9000",
        "http://[::ffff:7f00:1]:9000",
        "http://[::]:9000",
        "http://[::1%25eth0]:9000",
        "http://169.254.169.254/latest/meta-data",
        "http://[fd00:ec2::254]/",
    ],
)
def test_any_other_address_is_refused_at_its_place(url: str) -> None:
    with pytest.raises(ProtocolError) as refusal:
        checked_url(url, ALLOWED, "session.tools[0].server_url")
    assert (refusal.value.code, refusal.value.param) == ("invalid_value", "session.tools[0].server_url")


def test_without_an_allowed_host_every_address_is_refused() -> None:
    with pytest.raises(ProtocolError, match=r"mcp\.allowed_hosts"):
        checked_url("https://tools.example.com", (), "url")


@pytest.mark.parametrize("entry", ["", "a b", "https://", "host/path", "*.example.com", "127.1", "h:99999", "u@h"])
def test_an_entry_that_is_no_host_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        allowed_host(entry)
