"""Who may call, and how often."""

import hashlib
import hmac
import logging
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from antiphon.broker import Limit, RefusedError
from antiphon.broker.limits import RateLimiter
from antiphon.web.errors import ApiError
from tests.support.broker import KEY, OFFER, ScriptedUpstream, application, ask, error_of

LOCAL: dict[str, Any] = {"url": "http://127.0.0.1:3000", "peer": "127.0.0.1"}


# --- without authorize ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "peer"),
    [("http://localhost:3000", "127.0.0.1"), ("http://[::1]", "::1"), ("http://127.0.0.1", "::ffff:127.0.0.1")],
)
def test_without_authorize_this_machine_is_answered(url: str, peer: str) -> None:
    answer = ask(application(ScriptedUpstream(), allow_anonymous=False), url=url, peer=peer)
    assert answer.status_code == 201


@pytest.mark.parametrize(
    "request_",
    [
        {**LOCAL, "peer": "192.0.2.7"},
        {**LOCAL, "url": "http://app.example.com"},
        {**LOCAL, "headers": {"X-Forwarded-For": "127.0.0.1"}},
        {**LOCAL, "headers": {"Forwarded": "for=127.0.0.1"}},
        {**LOCAL, "headers": {"Via": "1.1 proxy"}},
        {**LOCAL, "headers": {"X-Real-IP": "127.0.0.1"}},
        {**LOCAL, "peer": ""},
        {**LOCAL, "peer": "testclient"},
    ],
)
def test_without_authorize_nobody_else_is(request_: dict[str, Any]) -> None:
    upstream = ScriptedUpstream()
    answer = ask(application(upstream, allow_anonymous=False), **request_)
    assert (answer.status_code, error_of(answer)["code"]) == (403, "not_local")
    assert upstream.heard == []


# --- authorize ------------------------------------------------------------------------------------------------------


class _AsyncCallable:
    async def __call__(self, request: Request) -> str:
        return request.cookies["user"]


async def _async(request: Request) -> str:
    return request.cookies["user"]


def _sync(request: Request) -> str:
    return request.cookies["user"]


@pytest.mark.parametrize("authorize", [_sync, _async, _AsyncCallable(), lambda request: _async(request)])
def test_the_hook_says_who_it_is_and_hears_it_again(authorize: Any) -> None:
    heard: list[str | None] = []

    def session(request: Request, user: str | None) -> None:
        heard.append(user)

    app = application(ScriptedUpstream(), hooks={"authorize": authorize, "session": session})
    assert ask(app, headers={"Cookie": "user=ann"}).status_code == 201
    assert heard == ["ann"]


@pytest.mark.parametrize("nobody", [None, ""])
def test_whom_the_hook_does_not_know_is_not_answered(nobody: str | None) -> None:
    upstream = ScriptedUpstream()
    answer = ask(application(upstream, hooks={"authorize": lambda request: nobody}), **LOCAL)
    assert (answer.status_code, error_of(answer)["code"]) == (401, "not_authorized")
    assert upstream.heard == []


@pytest.mark.parametrize(
    ("raised", "status", "message", "code"),
    [
        (RefusedError("Your trial is over.", 402, "trial_over"), 402, "Your trial is over.", "trial_over"),
        (HTTPException(401, "Who is it?", {"WWW-Authenticate": "Basic"}), 401, "Who is it?", "refused"),
        (HTTPException(303, "See there"), 403, "See there", "refused"),
    ],
)
def test_a_hook_refuses_in_its_own_words(raised: Exception, status: int, message: str, code: str) -> None:
    def authorize(request: Request) -> str:
        raise raised

    answer = ask(application(ScriptedUpstream(), hooks={"authorize": authorize}))
    error = error_of(answer)
    assert (answer.status_code, error["message"], error["code"]) == (status, message, code)
    assert answer.headers.get("www-authenticate") == ("Basic" if code == "refused" and status == 401 else None)


@pytest.mark.parametrize("hook", ["authorize", "session"])
def test_a_hook_that_fails_is_an_error_of_the_application_and_told_to_its_log_only(
    hook: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*arguments: Any) -> Any:
        raise RuntimeError("the database is at 10.0.0.1")

    upstream = ScriptedUpstream()
    answer = ask(application(upstream, hooks={hook: fail}))
    assert (answer.status_code, error_of(answer)["type"]) == (500, "server_error")
    assert "10.0.0.1" not in answer.text
    assert "10.0.0.1" in caplog.text
    assert upstream.heard == []


@pytest.mark.parametrize("answer_", [True, 7, b"ann", {"id": "ann"}])
def test_an_id_that_is_no_text_is_an_error_of_the_application(answer_: Any) -> None:
    upstream = ScriptedUpstream()
    answer = ask(application(upstream, hooks={"authorize": lambda request: answer_}))
    assert answer.status_code == 500
    assert upstream.heard == []


@pytest.mark.parametrize("content_type", ["application/sdp", "application/json"])
@pytest.mark.parametrize("answer_", ["realtime", 7, {"tools": [object()]}])
def test_a_session_that_is_none_is_an_error_of_the_application(answer_: Any, content_type: str) -> None:
    upstream = ScriptedUpstream()
    app = application(upstream, hooks={"session": lambda request, user: answer_})
    assert ask(app, content_type=content_type, content=b'{"method": "client_secret"}').status_code == 500
    assert upstream.heard == []


async def _reads(request: Request) -> str:
    return (await request.body())[:1].decode()


@pytest.mark.parametrize(("size", "status"), [(100, 201), (256 * 1024 + 1, 413)])
def test_a_hook_may_read_the_body_within_its_bound(size: int, status: int) -> None:
    upstream = ScriptedUpstream()
    content = OFFER.ljust(size, b"x")
    answer = ask(application(upstream, hooks={"authorize": _reads}), content=content)
    assert answer.status_code == status
    assert [heard.body for heard in upstream.heard] == ([content] if status == 201 else [])


@pytest.mark.parametrize("user", ["ann@example.com", None])
def test_upstream_learns_a_hash_of_the_user_if_it_is_to(user: str | None) -> None:
    upstream = ScriptedUpstream()
    hooks: dict[str, Any] = {} if user is None else {"authorize": lambda request: user}
    app = application(upstream, hooks=hooks, safety_salt="salt")
    location = ask(app).headers["location"]
    ask(app, content_type="application/json", content=b'{"method": "client_secret"}')
    ask(app, "DELETE", location)
    told = [heard.headers.get("openai-safety-identifier") for heard in upstream.heard]
    hashed = None if user is None else hmac.new(b"salt", user.encode(), hashlib.sha256).hexdigest()
    assert told == [hashed] * 3


def test_upstream_learns_nothing_of_the_user_otherwise() -> None:
    upstream = ScriptedUpstream()
    ask(application(upstream, hooks={"authorize": lambda request: "ann"}))
    assert "openai-safety-identifier" not in upstream.heard[0].headers


# --- limits ---------------------------------------------------------------------------------------------------------


def test_an_address_has_sixty_requests_a_minute() -> None:
    upstream = ScriptedUpstream()
    app = application(upstream)
    assert ask(app, times=60).status_code == 201
    answer = ask(app)
    assert (answer.status_code, error_of(answer)["type"]) == (429, "rate_limit_error")
    assert answer.headers["retry-after"] == "1"
    assert ask(app, peer="203.0.113.10").status_code == 201
    assert len(upstream.heard) == 61


def test_a_user_has_thirty_from_wherever_they_come() -> None:
    app = application(ScriptedUpstream(), hooks={"authorize": lambda request: request.headers["x-user"]})
    ann, ben = {"X-User": "ann"}, {"X-User": "ben"}
    assert ask(app, headers=ann, times=29).status_code == 201
    assert ask(app, headers=ann, peer="203.0.113.10").status_code == 201
    assert ask(app, headers=ann, peer="203.0.113.11").status_code == 429
    assert ask(app, headers=ben).status_code == 201


def test_who_is_not_known_counts_for_the_address_alone() -> None:
    app = application(ScriptedUpstream(), hooks={"authorize": lambda request: None}, address_limit=Limit(2))
    assert [ask(app).status_code for _ in range(3)] == [401, 401, 429]


def test_limits_can_be_turned_off() -> None:
    assert ask(application(ScriptedUpstream(), address_limit=None), times=100).status_code == 201


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ("203.0.113.1", "203.0.113.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:203.0.113.1", "203.0.113.1", True),
    ],
)
def test_what_one_caller_can_choose_from_is_one_address(first: str, second: str, shared: bool) -> None:
    app = application(ScriptedUpstream(), address_limit=Limit(1))
    assert ask(app, peer=first).status_code == 201
    assert ask(app, peer=second).status_code == (429 if shared else 201)


@pytest.mark.parametrize(
    ("told", "same"),
    [
        ("198.51.100.1", True),
        ("203.0.113.77, 198.51.100.1", True),  # the caller may write what it likes before
        ("198.51.100.2", False),
        ("198.51.100.1, 198.51.100.2", False),
    ],
)
def test_behind_a_proxy_the_last_address_of_the_named_header_counts(told: str, same: bool) -> None:
    app = application(ScriptedUpstream(), address_limit=Limit(1), address_header="X-Forwarded-For")
    assert ask(app, headers={"X-Forwarded-For": "198.51.100.1"}).status_code == 201
    assert ask(app, headers={"X-Forwarded-For": told}).status_code == (429 if same else 201)


@pytest.mark.parametrize("told", ["", "unknown", "198.51.100.1, nonsense"])
def test_without_an_address_in_the_header_the_peer_counts(told: str) -> None:
    app = application(ScriptedUpstream(), address_limit=Limit(1), address_header="X-Forwarded-For")
    assert ask(app).status_code == 201
    assert ask(app, headers={"X-Forwarded-For": told}).status_code == 429


def test_a_header_that_is_not_named_is_not_believed() -> None:
    app = application(ScriptedUpstream(), address_limit=Limit(1))
    assert ask(app, headers={"X-Forwarded-For": "198.51.100.1"}).status_code == 201
    assert ask(app, headers={"X-Forwarded-For": "198.51.100.2"}).status_code == 429


class _Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_an_allowance_comes_back_evenly_and_no_further() -> None:
    clock = _Clock()
    limiter = RateLimiter(Limit(3, per_s=30.0), clock)
    for _ in range(3):
        limiter.take("a")
    with pytest.raises(ApiError) as refused:
        limiter.take("a")
    assert refused.value.headers == {"Retry-After": "10"}
    clock.now_s += 10.0
    limiter.take("a")
    clock.now_s += 1000.0
    for _ in range(3):
        limiter.take("a")
    with pytest.raises(ApiError):
        limiter.take("a")


def test_what_is_remembered_of_addresses_is_bounded_and_the_quiet_are_forgotten_first() -> None:
    limiter = RateLimiter(Limit(1, per_s=1e9), _Clock(), known_max=3)
    for name in ("a", "b", "c"):
        limiter.take(name)
    with pytest.raises(ApiError):
        limiter.take("a")  # so it is b that is unused for longest
    limiter.take("d")
    limiter.take("b")
    with pytest.raises(ApiError):
        limiter.take("a")


# --- logs -----------------------------------------------------------------------------------------------------------


def test_the_log_holds_neither_keys_nor_bodies_nor_users(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "antiphon")
    app = application(ScriptedUpstream(), hooks={"authorize": lambda request: "ann"})
    location = ask(app, headers={"Cookie": "login=abc"}).headers["location"]
    ask(app, content_type="application/json", content=b'{"method": "client_secret"}')
    ask(app, "DELETE", location)
    ask(app, "PUT", location)
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("antiphon")]
    assert len(lines) == 4
    for word in (KEY, "ek_abc", "ann", "login", "v=0", "rtc_"):
        assert word not in "\n".join(lines)
