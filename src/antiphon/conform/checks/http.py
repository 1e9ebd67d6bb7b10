"""What is served beside the WebSocket."""

import time
from typing import Any

import httpx

from antiphon.conform.check import Level, Need, NotApplicableError, RuleError, Rules, require
from antiphon.conform.probe import Probe
from antiphon.conform.shapes import api_shapes

__all__ = ["RULES"]

RULES = Rules("http", "HTTP endpoints")

_MODELS = "API reference, models"
_ERRORS = "Guide 'Error codes'"
_SECRETS = "API reference, POST /realtime/client_secrets"
_RECORDED = "recorded sessions of the hosted API"
_LEGACY = "API reference, POST /realtime/sessions (legacy)"


def _json(answer: httpx.Response, status: int) -> Any:
    require(answer.status_code == status, f"HTTP {status}", f"HTTP {answer.status_code}: {answer.text[:200]}")
    try:
        return answer.json()
    except ValueError:
        raise RuleError("JSON", answer.text[:200]) from None


def _error(answer: httpx.Response, statuses: tuple[int, ...]) -> dict[str, Any]:
    require(answer.status_code in statuses, f"HTTP {' or '.join(map(str, statuses))}", f"HTTP {answer.status_code}")
    body = _json(answer, answer.status_code)
    error = body.get("error") if isinstance(body, dict) else None
    right = isinstance(error, dict) and all(name in error for name in ("message", "type", "param", "code"))
    require(right, "an object 'error' with message, type, param and code", body)
    return dict(error or {})


@RULES.check("models", "GET /models lists models", _MODELS)
async def models(probe: Probe) -> None:
    body = _json(await probe.http("GET", "/models"), 200)
    require(body.get("object") == "list" and body.get("data"), "object 'list', and data", body)
    for one in body["data"]:
        right = one.get("object") == "model" and all(name in one for name in ("id", "created", "owned_by"))
        require(right, "object 'model' with id, created, owned_by", one)


@RULES.check("model", "GET /models/{id} shows one of them", _MODELS)
async def model(probe: Probe) -> None:
    first = _json(await probe.http("GET", "/models"), 200)["data"][0]
    body = _json(await probe.http("GET", f"/models/{first['id']}"), 200)
    require(body == first, first, body)


@RULES.check("unknown-model", "An unknown model is answered by 404 and an error", _MODELS)
async def unknown_model(probe: Probe) -> None:
    _error(await probe.http("GET", "/models/conform-no-such-model"), (404,))


@RULES.check("unknown-path", "An unknown path is answered by 404 and an error", _ERRORS)
async def unknown_path(probe: Probe) -> None:
    _error(await probe.http("GET", "/conform/no/such/path"), (404,))


@RULES.check("request-id", "Every answer has X-Request-Id, also an error", "API reference, debugging requests")
async def request_id(probe: Probe) -> None:
    for path in ("/models", "/conform/no/such/path"):
        answer = await probe.http("GET", path)
        require(answer.headers.get("x-request-id"), f"X-Request-Id on {path}", dict(answer.headers))


@RULES.check("wrong-key", "A wrong key is answered by 401 and the code invalid_api_key", f"{_ERRORS}, 401")
async def wrong_key(probe: Probe) -> None:
    answer = await probe.http("GET", "/models", key="sk-conform-this-key-is-wrong")
    if answer.status_code == 200:
        raise NotApplicableError("this server accepts any key")
    code = _error(answer, (401,)).get("code")
    require(code == "invalid_api_key", "the code invalid_api_key", repr(code))


@RULES.check(
    "no-upgrade", "GET /realtime without an upgrade is answered by an error", "RFC 6455", level=Level.RECOMMENDED
)
async def no_upgrade(probe: Probe) -> None:
    _error(await probe.http("GET", "/realtime"), (400, 426))


# --- client secrets ------------------------------------------------------------------------------------------------


async def _secret(probe: Probe, **body: Any) -> dict[str, Any]:
    made: dict[str, Any] = _json(await probe.http("POST", "/realtime/client_secrets", json=body), 200)
    return made


_SESSION = {"type": "realtime", "model": "gpt-realtime", "instructions": "Be brief.", "output_modalities": ["text"]}


@RULES.check("secret", "A client secret begins with ek_ and expires ten minutes later", _SECRETS, Need.SECRETS)
async def secret(probe: Probe) -> None:
    made = await _secret(probe, session=_SESSION)
    require(str(made.get("value")).startswith("ek_"), "a value that begins with ek_", sorted(made))
    left = made.get("expires_at", 0) - time.time()
    require(540 < left < 660, "about 600 s from now", f"{left:.0f} s")


@RULES.check("secret-fields", "A client secret comes with the fields of the reference", _SECRETS, Need.SECRETS)
async def secret_fields(probe: Probe) -> None:
    made = await _secret(probe, session=_SESSION)
    shape = api_shapes().rest["POST /realtime/client_secrets 200"]
    found = [one for one in api_shapes().complaints(made, {"shape": shape}) if ": no field of " not in one]
    require(not found, "the fields of the reference", found)


@RULES.check("secret-session", "It shows the whole session, with expires_at 0 and an id", _RECORDED, Need.SECRETS)
async def secret_session(probe: Probe) -> None:
    session = (await _secret(probe, session=_SESSION)).get("session") or {}
    got = (session.get("expires_at"), session.get("instructions"), bool(session.get("id")), "audio" in session)
    require(got == (0, "Be brief.", True, True), "expires_at 0, the instructions, an id, audio", got)


@RULES.check("secret-expiry", "expires_after sets its lifetime", f"{_SECRETS}, expires_after", Need.SECRETS)
async def secret_expiry(probe: Probe) -> None:
    made = await _secret(probe, expires_after={"anchor": "created_at", "seconds": 60}, session=_SESSION)
    left = made.get("expires_at", 0) - time.time()
    require(30 < left < 90, "about 60 s from now", f"{left:.0f} s")


@RULES.check("secret-empty", "An empty request makes a secret, too", _SECRETS, Need.SECRETS)
async def secret_empty(probe: Probe) -> None:
    require((await _secret(probe)).get("value"), "a value", "none")


@RULES.check(
    "secret-too-short", "A lifetime below 10 s is answered by 400", f"{_SECRETS}, expires_after.seconds", Need.SECRETS
)
async def secret_too_short(probe: Probe) -> None:
    body = {"expires_after": {"anchor": "created_at", "seconds": 1}, "session": _SESSION}
    _error(await probe.http("POST", "/realtime/client_secrets", json=body), (400,))


@RULES.check("secret-bad-session", "A session with a bad field is answered by 400", _SECRETS, Need.SECRETS)
async def secret_bad_session(probe: Probe) -> None:
    body = {"session": {**_SESSION, "max_output_tokens": "lots"}}
    _error(await probe.http("POST", "/realtime/client_secrets", json=body), (400,))


@RULES.check("secret-no-json", "A body that is no JSON is answered by 400", _SECRETS, Need.SECRETS)
async def secret_no_json(probe: Probe) -> None:
    _error(await probe.http("POST", "/realtime/client_secrets", content=b"{not json"), (400,))


@RULES.check(
    "secret-opens", "A client secret opens a session with the configuration bound to it", _SECRETS, Need.SECRETS
)
async def secret_opens(probe: Probe) -> None:
    made = await _secret(probe, session=_SESSION)
    async with probe.connect(key=str(made["value"])) as connection:
        got = (connection.session.get("instructions"), connection.session.get("output_modalities"))
        require(got == ("Be brief.", ["text"]), "the bound instructions and modalities", got)


@RULES.check("secret-in-subprotocol", "A client secret opens a session from a browser", _SECRETS, Need.SECRETS)
async def secret_in_subprotocol(probe: Probe) -> None:
    made = await _secret(probe, session=_SESSION)
    offered = ["realtime", f"openai-insecure-api-key.{made['value']}"]
    async with probe.connect(subprotocols=offered) as connection:
        require(
            connection.session.get("instructions") == "Be brief.", "'Be brief.'", connection.session.get("instructions")
        )


@RULES.check(
    "secret-again", "A client secret opens more than one session", f"{_SECRETS}: usable until it expires", Need.SECRETS
)
async def secret_again(probe: Probe) -> None:
    key = str((await _secret(probe, session=_SESSION))["value"])
    async with probe.connect(key=key) as one, probe.connect(key=key) as other:
        require(one.session.get("id") != other.session.get("id"), "two sessions", one.session.get("id"))


@RULES.check("secret-overridden", "What a client sends wins over the bound configuration", _SECRETS, Need.SECRETS)
async def secret_overridden(probe: Probe) -> None:
    made = await _secret(probe, session=_SESSION)
    async with probe.connect(key=str(made["value"])) as connection:
        session = await connection.configure(instructions="Otherwise.")
        require(session.get("instructions") == "Otherwise.", "'Otherwise.'", session.get("instructions"))


@RULES.check("secret-transcription", "A client secret may be for a transcription session", _SECRETS, Need.SECRETS)
async def secret_transcription(probe: Probe) -> None:
    session = (await _secret(probe, session={"type": "transcription"})).get("session") or {}
    require(session.get("type") == "transcription", "type 'transcription'", session.get("type"))


@RULES.check(
    "legacy-sessions",
    "POST /realtime/sessions makes a session with client_secret",
    _LEGACY,
    Need.SECRETS,
    level=Level.RECOMMENDED,
)
async def legacy_sessions(probe: Probe) -> None:
    body = _json(await probe.http("POST", "/realtime/sessions", json={"model": "gpt-realtime", "voice": "alloy"}), 200)
    made = body.get("client_secret")
    right = isinstance(made, dict) and str(made.get("value")).startswith("ek_") and "expires_at" in made
    require(right, "client_secret with value and expires_at", sorted(body))


@RULES.check(
    "legacy-transcription", "POST /realtime/transcription_sessions makes a session with client_secret", _LEGACY,
    Need.SECRETS, level=Level.RECOMMENDED,
)  # fmt: skip
async def legacy_transcription(probe: Probe) -> None:
    body = _json(await probe.http("POST", "/realtime/transcription_sessions", json={}), 200)
    require(isinstance(body.get("client_secret"), dict), "client_secret", sorted(body))
