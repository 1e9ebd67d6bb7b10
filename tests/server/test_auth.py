import pytest
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from antiphon.server.auth import Keyring, is_local_request, presented_key, require_key
from antiphon.server.errors import ApiError


@pytest.mark.parametrize(
    ("headers", "subprotocols", "key", "place"),
    [
        ({"authorization": "Bearer k1"}, [], "k1", "header"),
        ({"authorization": "bearer  k1 "}, [], "k1", "header"),
        ({"authorization": "Basic abc"}, [], None, "header"),
        ({"authorization": "Bearer"}, [], None, "header"),
        ({}, ["realtime", "openai-insecure-api-key.k2", "openai-agents-sdk.1"], "k2", "subprotocol"),
        ({}, ["realtime", "openai-organization.o", "openai-project.p", "openai-beta.realtime-v1"], None, "nowhere"),
        ({"authorization": "Bearer k1"}, ["openai-insecure-api-key.k2"], "k1", "header"),
        ({}, [], None, "nowhere"),
    ],
)
def test_a_key_stands_in_the_header_or_a_subprotocol(
    headers: dict[str, str], subprotocols: list[str], key: str | None, place: str
) -> None:
    presented = presented_key(Headers(headers), subprotocols)
    assert (presented.key, presented.place) == (key, place)
    assert "k1" not in repr(presented)


@pytest.mark.parametrize(
    ("keys", "key", "accepted"),
    [
        ([], None, True),
        ([], "anything", True),
        (["a", "b"], "a", True),
        (["a", "b"], "b", True),
        (["a", "b"], "c", False),
        (["a", "b"], "", False),
        (["a"], None, False),
        (["a"], "a\udcff", False),
        (["a"], "A", False),
    ],
)
def test_a_ring_without_keys_is_open_and_one_with_keys_is_exact(
    keys: list[str], key: str | None, accepted: bool
) -> None:
    assert Keyring(keys).accepts(key) is accepted


@pytest.mark.parametrize("key", [None, "sk-wrong"])
def test_a_refusal_has_the_apis_code_and_never_the_key(key: str | None) -> None:
    with pytest.raises(ApiError) as caught:
        require_key(Keyring(["right"]), presented_key(Headers({"authorization": f"Bearer {key}"} if key else {})))
    assert (caught.value.status, caught.value.code) == (401, "invalid_api_key")
    assert "sk-wrong" not in caught.value.message


@pytest.mark.parametrize(
    ("client", "headers", "local"),
    [
        ("127.0.0.1", {"host": "localhost:8000"}, True),
        ("::1", {"host": "[::1]:8000"}, True),
        ("127.0.0.1", {"host": "voice.example"}, False),
        ("127.0.0.1", {"host": "localhost", "x-forwarded-for": "203.0.113.7"}, False),
        ("127.0.0.1", {"host": "localhost", "forwarded": "for=203.0.113.7"}, False),
        ("127.0.0.1", {"host": "localhost", "origin": "https://evil.example"}, False),
        ("203.0.113.7", {"host": "localhost"}, False),
    ],
)
def test_a_request_through_a_proxy_or_for_a_page_is_not_local(
    client: str, headers: dict[str, str], local: bool
) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    connection = HTTPConnection({"type": "http", "headers": raw, "client": (client, 1)})
    assert is_local_request(connection) is local
