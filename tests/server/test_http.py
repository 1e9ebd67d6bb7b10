"""The HTTP addresses beside the socket: their answers, their errors, and who may see what."""

import logging
from typing import Any

import pytest

from antiphon.engines.base import EngineInfo
from antiphon.engines.registry import EngineKind
from antiphon.testing import scripted

KEY = {"Authorization": "Bearer right-key"}
KEYS = {"api_keys": "right-key"}
PROXIED = {"X-Forwarded-For": "203.0.113.7"}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/v1/models/none", 404, "model_not_found"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("GET", "/v1/realtime", 426, "upgrade_required"),
        ("GET", "/../../etc/passwd", 404, "not_found"),
    ],
)
def test_errors_have_the_apis_shape(run_server: Any, method: str, path: str, status: int, code: str) -> None:
    async def scenario(server: Any) -> None:
        answer = await server.get(path, method=method)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-request-id"].startswith("req_")
        error = answer.json()["error"]
        assert sorted(error) == ["code", "message", "param", "type"]
        assert error["code"] == code

    run_server(scenario)


class _Crashing(scripted.ScriptedLlm):
    crash = False

    @property
    def info(self) -> EngineInfo:
        if self.crash:
            raise RuntimeError("a secret detail of /some/path")
        return EngineInfo("crashing")

    @info.setter
    def info(self, value: EngineInfo) -> None:
        pass


def test_a_defect_is_a_500_without_details(run_server: Any) -> None:
    llm = _Crashing()

    async def scenario(server: Any) -> None:
        llm.crash = True
        answer = await server.get("/v1/models")
        llm.crash = False
        assert answer.status_code == 500
        assert answer.headers["x-request-id"].startswith("req_")
        assert answer.json()["error"]["type"] == "server_error"
        assert "secret" not in answer.text
        assert "Traceback" not in answer.text

    run_server(scenario, engines=scripted.engines() | {EngineKind.LLM: llm})


def test_models_are_those_that_answer_and_the_name_that_clients_know(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        answer = (await server.get("/v1/models")).json()
        assert answer["object"] == "list"
        names = [model["id"] for model in answer["data"]]
        assert names == ["gpt-realtime", "scripted-llm", "scripted-stt", "scripted-tts"]
        for name in names:
            model = (await server.get(f"/v1/models/{name}")).json()
            assert sorted(model) == ["created", "id", "object", "owned_by"]

    run_server(scenario)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v1/models", {}, 401),
        ("/v1/models", {"Authorization": "Bearer wrong"}, 401),
        ("/v1/models", KEY, 200),
        ("/v1/models/gpt-realtime", {}, 401),
        ("/healthz", PROXIED, 200),
        ("/readyz", PROXIED, 200),
        ("/metrics", {}, 200),
        ("/metrics", PROXIED, 401),
        ("/metrics", PROXIED | KEY, 200),
        ("/metrics", {"Host": "voice.example"}, 401),
    ],
)
def test_what_needs_a_key_where_keys_are_configured(
    run_server: Any, path: str, headers: dict[str, str], status: int
) -> None:
    async def scenario(server: Any) -> None:
        assert (await server.get(path, headers)).status_code == status

    run_server(scenario, KEYS)


@pytest.mark.parametrize(("headers", "detailed"), [({}, True), (PROXIED, False), (PROXIED | KEY, True)])
def test_readiness_tells_details_only_to_this_machine_or_with_a_key(
    run_server: Any, headers: dict[str, str], detailed: bool
) -> None:
    async def scenario(server: Any) -> None:
        body = (await server.get("/readyz", headers)).json()
        assert body["status"] == "ready"
        assert ("engines" in body, "sessions" in body) == (detailed, detailed)

    run_server(scenario, KEYS)


def test_metrics_count_refusals_and_sessions(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        async with server.connect(additional_headers=KEY) as socket:
            await socket.recv()
            assert "\nantiphon_sessions 1\n" in (await server.get("/metrics")).text
        with pytest.raises(Exception, match="401"):
            await server.connect()
        text = (await server.get("/metrics")).text
        assert 'antiphon_refusals_total{reason="invalid_api_key"} 1' in text
        assert "# TYPE antiphon_event_loop_lag_seconds histogram" in text
        assert "right-key" not in text

    run_server(scenario, KEYS)


@pytest.mark.parametrize("trusted", [True, False])
def test_forwarded_headers_are_believed_of_configured_proxies_only(run_server: Any, trusted: bool) -> None:
    """A page of our own address is ours by the scheme that its browser used, which only a proxy knows."""

    async def scenario(server: Any) -> None:
        headers = {
            "Host": "voice.lan",
            "Origin": "https://voice.lan",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-For": "203.0.113.7",
        }
        assert (await server.get("/healthz", headers)).status_code == (200 if trusted else 403)

    flags = {"allowed_hosts": "voice.lan"} | ({"trusted_proxies": "127.0.0.1"} if trusted else {})
    run_server(scenario, flags)


def test_a_refused_page_gets_the_error_in_the_apis_shape(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        answer = await server.get("/v1/models", {"Origin": "https://evil.example"}, method="POST")
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin_not_allowed")
        answer = await server.get("/v1/models", {"Host": "rebound.example"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (421, "host_not_allowed")

    run_server(scenario)


def test_the_log_says_which_page_was_refused_and_what_was_wrong_with_an_offer(
    run_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(server: Any) -> None:
        await server.get("/healthz", {"Origin": "null"})
        await server.get("/healthz", {"Host": "rebound.example"})
        await server.get("/v1/realtime/calls", {"Content-Type": "text/plain"}, method="POST")

    caplog.set_level(logging.INFO, "antiphon")
    run_server(scenario, {"rtc": True, "rtc_port": 0})
    fields = [vars(record)["antiphon_fields"] for record in caplog.records if record.message == "connection_refused"]
    assert [(line["reason"], line["detail"]) for line in fields] == [
        ("origin_not_allowed", "null"),
        ("host_not_allowed", "rebound.example"),
        ("bad_request", "unsupported_content_type"),
    ]


def test_refused_pages_are_counted(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        await server.get("/healthz", {"Origin": "https://evil.example"})
        await server.get("/healthz", {"Host": "rebound.example"})
        text = (await server.get("/metrics")).text
        assert 'antiphon_refusals_total{reason="origin_not_allowed"} 1' in text
        assert 'antiphon_refusals_total{reason="host_not_allowed"} 1' in text

    run_server(scenario)
