import pytest

from antiphon.web.hosts import is_loopback, normal_origin, split_host


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("localhost.", True),
        ("127.0.0.1", True),
        ("127.255.0.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),
        ("127.1", False),
        ("0x7f.0.0.1", False),
        ("2130706433", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("192.168.0.1", False),
        ("", False),
    ],
)
def test_loopback_is_what_only_this_machine_can_reach(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("header", "parts"),
    [
        ("localhost:8000", ("localhost", 8000)),
        ("LocalHost.", ("localhost", None)),
        ("[::1]:8000", ("::1", 8000)),
        ("[::1]", ("::1", None)),
        ("a.example:65535", ("a.example", 65535)),
        ("a.example:65536", None),
        ("a.example:", None),
        ("a.example:-1", None),
        ("::1", None),
        ("[evil]:1", None),
        ("a b", None),
        ("user@a.example", None),
        ("", None),
    ],
)
def test_malformed_hosts_are_none(header: str, parts: tuple[str, int | None] | None) -> None:
    assert split_host(header) == parts


@pytest.mark.parametrize(
    ("origin", "normal"),
    [
        ("https://A.example", "https://a.example"),
        ("https://a.example:443", "https://a.example"),
        ("http://a.example:8080", "http://a.example:8080"),
        ("http://[::1]:5173", "http://[::1]:5173"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ("null", None),
        ("https://a.example/", None),
        ("https://user@a.example", None),
        ("a.example", None),
        ("", None),
    ],
)
def test_origins_have_one_form(origin: str, normal: str | None) -> None:
    assert normal_origin(origin) == normal
