"""Pages of other sites are refused before upstream, the hooks or the limits hear of them."""

from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers as StarletteHeaders

from antiphon.broker.origin import PageRules
from antiphon.web.errors import ApiError
from tests.support.broker import OWN, ScriptedUpstream, application, ask, error_of

Headers = dict[str, str] | list[tuple[str, str]]
ALLOWED = "https://shop.example.org"

REFUSED: dict[str, Headers] = {
    "another site": {"Origin": "https://evil.example"},
    "no origin of its own": {"Origin": "null"},
    "another port": {"Origin": f"{OWN}:8080"},
    "another scheme": {"Origin": "https://app.example.com"},
    "a sub-domain": {"Origin": "http://www.app.example.com"},
    "the domain above": {"Origin": "http://example.com"},
    "a name that begins alike": {"Origin": f"{OWN}.evil.example"},
    "a user name": {"Origin": "http://app.example.com@evil.example"},
    "a path": {"Origin": f"{OWN}/page"},
    "an extension": {"Origin": "chrome-extension://abcdefgh"},
    "an empty origin": {"Origin": ""},
    "two origins": [("Origin", OWN), ("Origin", "https://evil.example")],
    "two equal origins": [("Origin", OWN), ("Origin", OWN)],
    "no origin, cross-site": {"Sec-Fetch-Site": "cross-site"},
    "no origin, same-site": {"Sec-Fetch-Site": "same-site"},
    "our origin, cross-site": {"Origin": OWN, "Sec-Fetch-Site": "cross-site"},
    "our origin, same-site": {"Origin": OWN, "Sec-Fetch-Site": "same-site"},
    "an unknown site": {"Origin": OWN, "Sec-Fetch-Site": "friendly"},
    "two sites": [("Origin", OWN), ("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")],
    "another site that says it is ours": {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
    "nearly the allowed one": {"Origin": f"{ALLOWED}:8443"},
    "the allowed one without TLS": {"Origin": "http://shop.example.org"},
}
PAGES: dict[str, Headers] = {
    "no browser": {},
    "our page": {"Origin": OWN},
    "our page in a browser of today": {"Origin": OWN, "Sec-Fetch-Site": "same-origin"},
    "our page, port written out": {"Origin": f"{OWN}:80"},
    "the user": {"Sec-Fetch-Site": "none"},
    "our page behind a proxy that ends TLS": {"Origin": "https://app.example.com", "Sec-Fetch-Site": "same-origin"},
    "an allowed page": {"Origin": ALLOWED, "Sec-Fetch-Site": "cross-site"},
    "an allowed page in an old browser": {"Origin": ALLOWED},
}


def _never(request: Any) -> str:
    raise AssertionError("nobody is asked who it is")


@pytest.mark.parametrize("content_type", ["text/plain", "application/sdp", "application/json"])
@pytest.mark.parametrize("page", REFUSED)
def test_a_page_of_another_site_is_refused_before_anything_else(page: str, content_type: str) -> None:
    upstream = ScriptedUpstream()
    app = application(upstream, allowed_origins=(ALLOWED,), hooks={"authorize": _never})
    answer = ask(app, headers=REFUSED[page], content_type=content_type)
    assert (answer.status_code, error_of(answer)["code"]) == (403, "cross_site_request")
    assert "access-control-allow-origin" not in answer.headers
    assert upstream.heard == []


_PARTS = ["http://", "https://", "app.example.com", "example.com", "evil.example", ".", ":80", ":443", "@", "/", "null"]
_ORIGINS = st.lists(st.sampled_from(_PARTS) | st.text(max_size=3), max_size=5).map("".join)


@given(origin=_ORIGINS, site=st.sampled_from([None, "same-origin", "none"]))
def test_no_origin_is_taken_for_ours_that_has_another_host(origin: str, site: str | None) -> None:
    headers = [(b"host", b"app.example.com"), (b"origin", origin.encode("latin-1", "ignore"))]
    headers += [(b"sec-fetch-site", site.encode())] if site else []
    try:
        PageRules([]).check(StarletteHeaders(raw=headers), "http")
    except ApiError:
        return
    host = origin.lower().strip().partition("://")[2].removesuffix(":80").removesuffix(":443").removesuffix(".")
    assert host == "app.example.com"


@pytest.mark.parametrize("path", ["/session/calls/rtc_1", "/session/calls/rtc_1/hangup", "/nothing"])
def test_it_is_so_at_every_address(path: str) -> None:
    upstream = ScriptedUpstream()
    for method in ("POST", "DELETE", "GET", "OPTIONS"):
        answer = ask(application(upstream), method, f"/api/realtime{path}", headers={"Origin": "https://evil.example"})
        assert answer.status_code == 403
    assert upstream.heard == []


def test_refused_pages_use_up_nobody_s_limit() -> None:
    upstream = ScriptedUpstream()
    app = application(upstream)
    assert ask(app, headers={"Origin": "https://evil.example"}, times=200).status_code == 403
    assert ask(app).status_code == 201


@pytest.mark.parametrize("page", PAGES)
def test_pages_of_our_own_and_allowed_ones_may_call(page: str) -> None:
    upstream = ScriptedUpstream()
    answer = ask(application(upstream, allowed_origins=(ALLOWED,)), headers=PAGES[page])
    assert answer.status_code == 201
    assert len(upstream.heard) == 1


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://app.example.com", "https://app.example.com"),
        ("https://app.example.com", "https://APP.example.com:443"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://localhost:3000", "http://localhost:3000"),
    ],
)
def test_our_own_origin_is_told_by_the_host(url: str, origin: str) -> None:
    assert ask(application(ScriptedUpstream()), url=url, headers={"Origin": origin}).status_code == 201


@pytest.mark.parametrize("host", ["", "a b", "app.example.com, evil.example", "evil.example"])
def test_a_host_that_does_not_fit_is_nobody_s_own(host: str) -> None:
    answer = ask(application(ScriptedUpstream()), headers={"Host": host, "Origin": OWN})
    assert (answer.status_code, error_of(answer)["code"]) == (403, "cross_site_request")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("app.example.com", 201),
        ("APP.example.com.:8000", 201),
        ("rebound.example", 421),
        ("127.0.0.1", 421),
        ("", 421),
        ("app.example.com:x", 421),
    ],
)
def test_under_names_that_are_not_ours_nothing_is_answered(host: str, status: int) -> None:
    app = application(ScriptedUpstream(), allowed_hosts=("App.example.com",))
    assert ask(app, headers={"Host": host}).status_code == status


# --- allowed pages of other origins ---------------------------------------------------------------------------------


def preflight(origin: str, **settings: Any) -> httpx.Response:
    headers = {
        "Origin": origin,
        "Sec-Fetch-Site": "cross-site",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    app = application(ScriptedUpstream(), **settings)
    return ask(app, "OPTIONS", content=b"", content_type=None, headers=headers)


def test_there_is_no_cors_unless_asked_for() -> None:
    answer = preflight(ALLOWED)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_preflight_of_an_allowed_page_is_answered() -> None:
    answer = preflight(ALLOWED, allowed_origins=(ALLOWED,))
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == ALLOWED
    assert answer.headers["access-control-allow-methods"] == "POST, DELETE"
    assert answer.headers["access-control-allow-headers"] == "authorization, content-type"
    assert "Origin" in answer.headers["vary"]


def test_an_allowed_page_reads_answers_locations_and_errors() -> None:
    app = application(ScriptedUpstream(), allowed_origins=(ALLOWED,))
    for answer in (ask(app, headers={"Origin": ALLOWED}), ask(app, headers={"Origin": ALLOWED}, content=b"")):
        assert answer.headers["access-control-allow-origin"] == ALLOWED
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert "Location" in answer.headers["access-control-expose-headers"]


def test_an_allowed_page_needs_what_others_need() -> None:
    app = application(ScriptedUpstream(), allowed_origins=(ALLOWED,), hooks={"authorize": lambda request: None})
    assert ask(app, headers={"Origin": ALLOWED}).status_code == 401
