"""The endpoints that hand out client secrets, over a real socket."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatus

from antiphon.conform.shapes import api_shapes
from antiphon.server.settings import SettingsError
from tests.support.beta import beta_shapes

KEYS = {"api_keys": "right-key"}
SIGNED = {"api_keys": "right-key", "client_secret_keys": "an-old-signing-key-of-32-characters"}
AUTHORIZED = {"Authorization": "Bearer right-key"}
ENDPOINTS = ["/v1/realtime/client_secrets", "/v1/realtime/sessions", "/v1/realtime/transcription_sessions"]


async def post(server: Any, path: str, body: Any = None, headers: dict[str, str] | None = AUTHORIZED) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as client:
        return await client.post(path, content=content, headers=headers)


def bearer(secret: str) -> dict[str, Any]:
    return {"additional_headers": {"Authorization": f"Bearer {secret}"}}


def subprotocol(secret: str) -> dict[str, Any]:
    return {"subprotocols": ["realtime", f"openai-insecure-api-key.{secret}"]}


async def opened(server: Any, options: dict[str, Any], query: str = "") -> dict[str, Any]:
    """The session as ``session.created`` shows it."""
    async with server.connect(query, **options) as socket:
        event: dict[str, Any] = json.loads(await socket.recv())
        assert event["type"] == "session.created", event
        session: dict[str, Any] = event["session"]
        return session


@pytest.mark.parametrize("options", [bearer, subprotocol])
def test_a_secret_opens_the_session_that_it_binds(run_server: Any, options: Any) -> None:
    async def scenario(server: Any) -> None:
        bound = {
            "type": "realtime",
            "model": "mine",
            "instructions": "Be kind.",
            "audio": {"output": {"voice": "sage"}, "input": {"turn_detection": None}},
        }
        answer = await post(server, ENDPOINTS[0], {"session": bound, "expires_after": {"seconds": 10}})
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        body = answer.json()
        session = await opened(server, options(body["value"]), "?model=other")
        ours = {"id": "", "expires_at": 0}
        assert {**session, **ours} == {**body["session"], **ours}
        assert (session["instructions"], session["audio"]["output"]["voice"]) == ("Be kind.", "sage")
        assert (session["model"], session["audio"]["input"]["turn_detection"]) == ("mine", None)

    assert run_server(scenario, KEYS) == ""


def test_a_stored_prompt_that_a_secret_binds_is_filled_in(run_server: Any, tmp_path: Path) -> None:
    async def scenario(server: Any) -> None:
        bound = {"type": "realtime", "prompt": {"id": "p", "variables": {"name": "Ada"}}}
        body = (await post(server, ENDPOINTS[0], {"session": bound})).json()
        session = await opened(server, bearer(body["value"]))
        assert session["instructions"] == body["session"]["instructions"] == "Greet Ada."
        unknown = await post(server, ENDPOINTS[0], {"session": {"type": "realtime", "prompt": {"id": "ghost"}}})
        assert (unknown.status_code, unknown.json()["error"]["param"]) == (400, "session.prompt.id")

    prompts = tmp_path / "prompts.toml"
    prompts.write_text('[p.versions.1]\ninstructions = "Greet {{name}}."\n')
    assert run_server(scenario, KEYS | {"prompts_file": str(prompts)}) == ""


def test_the_answer_is_the_apis_with_the_secret_where_old_pages_look_too(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        body = (await post(server, ENDPOINTS[0], {"model": "mine", "ttl": 60})).json()
        assert body.pop("client_secret") == {"value": body["value"], "expires_at": body["expires_at"]}
        assert (body["session"]["model"], body["session"]["expires_at"]) == ("mine", 0)
        body["session"]["audio"]["input"].pop("noise_reduction")
        shape = api_shapes().rest["POST /realtime/client_secrets 200"]
        complaints = api_shapes().complaints(body, {"shape": shape})
        assert [one for one in complaints if "null" not in one] == []
        lasting = (await post(server, ENDPOINTS[0])).json()
        assert 530 < lasting["expires_at"] - body["expires_at"] < 550

    assert run_server(scenario, KEYS) == ""


def test_a_legacy_session_is_flat_and_its_secret_opens_it(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        asked = {
            "model": "gpt-4o-realtime-preview",
            "modalities": ["text"],
            "voice": "ash",
            "input_audio_format": "g711_ulaw",
            "temperature": 0.6,
        }
        body = (await post(server, ENDPOINTS[1], asked)).json()
        assert {name: body[name] for name in asked} == asked
        shape = beta_shapes().rest["POST /realtime/sessions 200"]
        complaints = beta_shapes().complaints(body, {"shape": shape})
        assert all("no field of" in one for one in complaints), complaints
        session = await opened(server, bearer(body["client_secret"]["value"]))
        assert (session["output_modalities"], session["audio"]["output"]["voice"]) == (["text"], "ash")
        assert session["audio"]["input"]["format"] == {"type": "audio/pcmu"}

    assert run_server(scenario, KEYS) == ""


def test_a_legacy_transcription_session_is_flat_and_its_secret_opens_it(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        asked = {"input_audio_transcription": {"model": "gpt-4o-transcribe", "language": "de"}}
        body = (await post(server, ENDPOINTS[2], asked)).json()
        assert body["object"] == "realtime.transcription_session"
        assert body["input_audio_transcription"]["language"] == "de"
        for query in ("", "?model=gpt-realtime", "?intent=transcription"):
            session = await opened(server, bearer(body["client_secret"]["value"]), query)
            assert session["type"] == "transcription"
            transcription = session["audio"]["input"]["transcription"]
            assert (transcription["model"], transcription["language"]) == ("gpt-4o-transcribe", "de")

    assert run_server(scenario, KEYS) == ""


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic cmlnaHQ="}])
def test_secrets_are_made_for_those_with_a_key_only(run_server: Any, path: str, headers: dict[str, str]) -> None:
    async def scenario(server: Any) -> None:
        answer = await post(server, path, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")

    assert run_server(scenario, KEYS) == ""


@pytest.mark.parametrize("flags", [KEYS, {}], ids=["with keys", "without"])
def test_a_secret_opens_sessions_and_nothing_else(run_server: Any, flags: dict[str, str]) -> None:
    async def scenario(server: Any) -> None:
        secret = (await post(server, ENDPOINTS[0])).json()["value"]
        used = {"Authorization": f"Bearer {secret}"}
        for path in ENDPOINTS:
            assert (await post(server, path, headers=used)).status_code == 401
        assert (await server.get("/v1/models", used)).status_code == 401
        abroad = {**used, "X-Forwarded-For": "192.0.2.1"}
        assert (await server.get("/metrics", abroad)).status_code == (401 if flags else 200)
        await opened(server, bearer(secret))

    assert run_server(scenario, flags) == ""


def test_a_changed_or_foreign_secret_opens_nothing(run_server: Any) -> None:
    made: list[str] = []

    async def mint(server: Any) -> None:
        made.append((await post(server, ENDPOINTS[0])).json()["value"])

    async def scenario(server: Any) -> None:
        await mint(server)
        own = made[1]
        changed = own[:30] + ("A" if own[30] != "A" else "B") + own[31:]
        for secret in (made[0], changed, own + "A" * 2_048, "ek_" + "A" * 200):
            with pytest.raises(InvalidStatus) as caught:
                await server.connect(**bearer(secret))
            assert caught.value.response.status_code == 401
            assert secret.encode() not in caught.value.response.body
            async with server.connect(**subprotocol(secret)) as socket:
                assert json.loads(await socket.recv())["error"]["code"] == "invalid_api_key"
                with pytest.raises(ConnectionClosed) as closed:
                    await socket.recv()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 3000

    assert run_server(mint, KEYS) == ""
    assert run_server(scenario, KEYS) == ""


def test_configured_keys_outlive_the_process_and_rotate(run_server: Any) -> None:
    made: list[str] = []

    async def mint(server: Any) -> None:
        made.append((await post(server, ENDPOINTS[0], {"model": "mine"})).json()["value"])

    async def accepted(server: Any) -> None:
        assert (await opened(server, bearer(made[0])))["model"] == "mine"

    async def refused(server: Any) -> None:
        with pytest.raises(InvalidStatus):
            await server.connect(**bearer(made[0]))

    new = "a-new-signing-key-of-32-characters!"
    assert run_server(mint, SIGNED) == ""
    assert run_server(accepted, SIGNED) == ""
    assert run_server(accepted, {**SIGNED, "client_secret_keys": f"{new},{SIGNED['client_secret_keys']}"}) == ""
    assert run_server(refused, {**SIGNED, "client_secret_keys": new}) == ""


def test_without_keys_any_key_still_opens_a_session(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        await opened(server, subprotocol("ek_local"))
        secret = (await post(server, ENDPOINTS[0], {"model": "mine"}, headers={})).json()["value"]
        assert (await opened(server, subprotocol(secret)))["model"] == "mine"

    assert run_server(scenario) == ""


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "param"),
    [
        (ENDPOINTS[0], b"{", 400, "invalid_body", None),
        (ENDPOINTS[0], [], 200, None, None),
        (ENDPOINTS[0], [1], 400, "invalid_body", None),
        (ENDPOINTS[0], b"", 200, None, None),
        (ENDPOINTS[0], {"session": {}}, 400, "missing_required_parameter", "session.type"),
        (ENDPOINTS[0], {"expires_after": {"seconds": 9}}, 400, "invalid_value", "expires_after.seconds"),
        (ENDPOINTS[0], {"expires_after": {"seconds": 7201}}, 400, "invalid_value", "expires_after.seconds"),
        (ENDPOINTS[0], {"model": "m" * 300}, 400, "invalid_value", "model"),
        (
            ENDPOINTS[0],
            {"session": {"type": "realtime", "instructions": "x" * 300_000}},
            400,
            "string_above_max_length",
            "session.instructions",
        ),
        (ENDPOINTS[0], b" " * 1_048_577, 413, "request_too_large", None),
        (ENDPOINTS[1], {"voice": 7}, 400, "invalid_type", "voice"),
        (ENDPOINTS[1], {"output_audio_format": "mp3"}, 400, "invalid_value", "output_audio_format"),
        (ENDPOINTS[1], {"instructions": "x" * 300_000}, 400, "string_above_max_length", "instructions"),
        (
            ENDPOINTS[1],
            {"input_audio_noise_reduction": {}},
            400,
            "missing_required_parameter",
            "input_audio_noise_reduction.type",
        ),
        (ENDPOINTS[2], {"turn_detection": {"threshold": 2}}, 400, "invalid_value", "turn_detection.threshold"),
    ],
)
def test_bad_bodies_are_refused_in_the_apis_shape(
    run_server: Any, path: str, body: Any, status: int, code: str | None, param: str | None
) -> None:
    async def scenario(server: Any) -> None:
        answer = await post(server, path, body)
        assert answer.status_code == status, answer.text
        if status != 200:
            error = answer.json()["error"]
            assert error["code"] == code
            assert param is None or error["param"] == param

    assert run_server(scenario, KEYS) == ""


def test_a_foreign_page_gets_no_secret_from_a_server_without_keys(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        answer = await post(server, ENDPOINTS[0], headers={"Origin": "https://evil.example"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin_not_allowed")

    assert run_server(scenario) == ""


def test_no_record_of_a_session_holds_its_secret(run_server: Any, tmp_path: Any) -> None:
    records = tmp_path / "records"
    records.mkdir()
    made: list[str] = []

    async def scenario(server: Any) -> None:
        for session in ({"type": "realtime"}, {"type": "realtime", "instructions": "x" * 5_000}):
            secret = (await post(server, ENDPOINTS[0], {"session": session})).json()["value"]
            made.append(secret)
            await opened(server, bearer(secret))
            await opened(server, subprotocol(secret))

    assert run_server(scenario, {**SIGNED, "record_dir": str(records)}) == ""
    written = [path.read_text() for path in records.iterdir()]
    assert len(written) == 4
    assert not any(secret[3:40] in text for text in written for secret in made)


@pytest.mark.parametrize("key", ["short", "x" * 31])
def test_a_short_signing_key_is_refused_at_the_start(run_server: Any, key: str) -> None:
    async def scenario(server: Any) -> None:
        raise AssertionError("the server started")

    with pytest.raises(SettingsError, match="client_secret_keys"):
        run_server(scenario, {"client_secret_keys": key})


def test_a_secret_in_a_subprotocol_is_never_selected(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        secret = (await post(server, ENDPOINTS[0])).json()["value"]
        async with server.connect(**subprotocol(secret)) as socket:
            assert isinstance(socket, websockets.ClientConnection)
            assert socket.subprotocol == "realtime"

    assert run_server(scenario, KEYS) == ""
