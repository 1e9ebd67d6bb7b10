"""How a connection begins and ends."""

import asyncio
import json

from antiphon.conform.check import Level, NotApplicableError, RuleError, Rules, require
from antiphon.conform.connection import message
from antiphon.conform.probe import HandshakeError, Probe

__all__ = ["RULES"]

RULES = Rules("handshake", "Handshake and authentication")

_GUIDE = "Guide 'Realtime API with WebSocket'"
_BROWSER = f"{_GUIDE}, connecting from a browser"
_CLIENTS = "observed: handshakes of the official clients"
_WRONG_KEY = "sk-conform-this-key-is-wrong"
_KEY_PREFIX = "openai-insecure-api-key."


@RULES.check("bearer", "A key in the Authorization header opens a session", _GUIDE)
async def bearer(probe: Probe) -> None:
    async with probe.opened():
        pass


@RULES.check("without-subprotocol", "Where no subprotocol is offered none is selected", "RFC 6455, 4.2.2")
async def without_subprotocol(probe: Probe) -> None:
    async with probe.opened() as connection:
        require(connection.socket.subprotocol is None, "no subprotocol", connection.socket.subprotocol)


async def _selected(probe: Probe, *others: str) -> None:
    offered = ["realtime", _KEY_PREFIX + (probe.target.key or "any"), *others]
    async with probe.opened(subprotocols=offered) as connection:
        selected = connection.socket.subprotocol
        require(selected == "realtime", "the subprotocol 'realtime' is selected", repr(selected))


@RULES.check("subprotocol", "A key in a subprotocol opens a session, and 'realtime' is selected", _BROWSER)
async def subprotocol(probe: Probe) -> None:
    await _selected(probe)


@RULES.check("other-subprotocols", "Organisation, project and SDK subprotocols beside it are tolerated", _BROWSER)
async def other_subprotocols(probe: Probe) -> None:
    await _selected(probe, "openai-organization.org-1", "openai-project.proj-1", "openai-agents-sdk.0.20.0")


@RULES.check("other-headers", "Headers that clients send beside the key are tolerated", _CLIENTS)
async def other_headers(probe: Probe) -> None:
    headers = {
        "Content-Type": "application/json",
        "OpenAI-Organization": "org-1",
        "OpenAI-Project": "proj-1",
        "OpenAI-Safety-Identifier": "somebody",
        "X-OpenAI-Agents-SDK": "openai-agents-sdk.0.20.0",
        "X-Stainless-Lang": "python",
    }
    async with probe.connect(headers=headers):
        pass


@RULES.check("compression", "A client that offers permessage-deflate is served", "RFC 7692")
async def compression(probe: Probe) -> None:
    async with probe.connect(compression="deflate") as connection:
        await connection.fence()


@RULES.check("ping", "A ping is answered", "RFC 6455, 5.5.2")
async def ping(probe: Probe) -> None:
    async with probe.opened() as connection:
        try:
            async with asyncio.timeout(probe.target.timeout_s):
                await (await connection.socket.ping())
        except TimeoutError:
            raise RuleError("a pong", f"none within {probe.target.timeout_s:g} s") from None


@RULES.check("close", "A close is answered by a close", "RFC 6455, 5.5.1")
async def close(probe: Probe) -> None:
    async with probe.opened() as connection:
        await connection.socket.close(1000)
        require(connection.socket.close_code == 1000, "close code 1000", connection.socket.close_code)


@RULES.check("model", "The session has the model of the address", "API reference, the session object, model")
async def model(probe: Probe) -> None:
    async with probe.connect() as connection:
        got = connection.session.get("model")
        require(got == probe.target.model, f"model {probe.target.model!r}", repr(got))


@RULES.check("transcription", "intent=transcription makes a transcription session", "Guide 'Realtime transcription'")
async def transcription(probe: Probe) -> None:
    async with probe.transcription() as connection:
        got = connection.session.get("type")
        require(got == "transcription", "session.type 'transcription'", repr(got))


@RULES.check(
    "transcription-with-model",
    "intent=transcription together with a model makes a transcription session, too",
    "observed: LiveKit's STT connects so to any server but OpenAI's",
    level=Level.RECOMMENDED,
)
async def transcription_with_model(probe: Probe) -> None:
    async with probe.connect({"intent": "transcription", "model": "gpt-4o-mini-transcribe"}) as connection:
        got = connection.session.get("type")
        require(got == "transcription", "session.type 'transcription'", repr(got))


@RULES.check("unknown-call", "An unknown call_id is answered by 404, call_id_not_found", "observed: hosted API, 2026")
async def unknown_call(probe: Probe) -> None:
    expected = "HTTP 404 with the code call_id_not_found"
    try:
        async with probe.socket({"call_id": "rtc_conform_unknown"}):
            raise RuleError(expected, "the connection was accepted")
    except HandshakeError as refused:
        require(refused.status == 404, expected, f"HTTP {refused.status}")
        code = _error(refused).get("code")
        require(code == "call_id_not_found", expected, f"HTTP 404 with the code {code!r}")


def _error(refused: HandshakeError) -> dict[str, object]:
    try:
        body = json.loads(refused.body)
    except ValueError:
        raise RuleError("a JSON error", repr(refused.body[:200])) from None
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        raise RuleError("an object 'error'", body)
    return error


async def _wrong_key(probe: Probe, **options: object) -> None:
    expected = "HTTP 401, or an error event invalid_api_key and a close"
    try:
        async with probe.opened(**options) as connection:  # type: ignore[arg-type]
            event = (await connection.until({"error", "session.created"}))[-1]
            if event.get("type") != "error":
                raise NotApplicableError("this server accepts any key")
            code = event["error"].get("code")
            require(code == "invalid_api_key", expected, f"an error {code!r}", event)
    except RuleError as failure:
        if not str(failure.got).startswith("HTTP "):
            raise
        require(str(failure.got).startswith("HTTP 401"), expected, failure.got)


@RULES.check("wrong-key", "A wrong key is refused, by 401 or by the error invalid_api_key", "Guide 'Error codes', 401")
async def wrong_key(probe: Probe) -> None:
    await _wrong_key(probe, key=_WRONG_KEY)


@RULES.check(
    "wrong-key-in-subprotocol",
    "A wrong key in a subprotocol is refused, by 401 or by the error invalid_api_key",
    "Guide 'Error codes', 401",
)
async def wrong_key_in_subprotocol(probe: Probe) -> None:
    await _wrong_key(probe, subprotocols=["realtime", _KEY_PREFIX + _WRONG_KEY])


@RULES.check("no-shared-state", "Two sessions share no items", "API reference, client events, conversation.item.create")
async def no_shared_state(probe: Probe) -> None:
    async with probe.connect() as one, probe.connect() as other:
        item_id = await one.create(message("Only here."))
        await one.fence()
        await other.refusal("conversation.item.retrieve", item_id=item_id)


@RULES.check("ids-differ", "Each session has an id of its own", "API reference, the session object, id")
async def ids_differ(probe: Probe) -> None:
    async with probe.connect() as one, probe.connect() as other:
        ids = (one.session.get("id"), other.session.get("id"))
        require(ids[0] and ids[0] != ids[1], "two different ids", ids)
