"""Calls to a server of one's own, over HTTP and then over the wire."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.rtc_caller import Caller, calling
from tests.support.rtc_offer import Plan

__all__ = [
    "CALLS",
    "DATA_ONLY",
    "KEYS",
    "KEY_A",
    "KEY_B",
    "NOT_FOUND",
    "RTC",
    "SDP",
    "CallOfTest",
    "a_secret",
    "an_offer",
    "call_of",
    "post",
]


RTC = {"rtc": True, "rtc_port": 0}
"""Settings with which a server of a test takes calls."""
SDP = {"content-type": "application/sdp"}
CALLS = "/v1/realtime/calls"
KEYS = {**RTC, "api_keys": "key-a,key-b"}
KEY_A = {"authorization": "Bearer key-a"}
KEY_B = {"authorization": "Bearer key-b"}
NOT_FOUND = {
    "error": {
        "message": "No session found for the provided call_id",
        "type": "invalid_request_error",
        "code": "call_id_not_found",
        "param": "",
    }
}
DATA_ONLY = Plan(audio=())
_PATIENCE_S = 10.0


async def post(
    port: int, path: str, content: bytes | str = b"", headers: Mapping[str, str] | None = None, **options: Any
) -> httpx.Response:
    # Nothing is encrypted here, and reading the certificates takes longer than the request.
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, verify=False) as client:
        body: dict[str, Any] = {} if "files" in options else {"content": content}
        return await client.post(path, headers=dict(headers or {}), **body, **options)


async def an_offer(plan: Plan | None = None) -> str:
    """Fit to be answered; nobody calls with it."""
    written: list[str] = []

    async def keep(offer: str) -> str:
        written.append(offer)
        raise ConnectionAbortedError

    async with calling(keep, plan) as caller:
        with suppress(ConnectionAbortedError):
            await caller.connect()
    return written[0]


@dataclass
class CallOfTest:
    port: int
    caller: Caller
    response: httpx.Response | None = None
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def path(self) -> str:
        assert self.response is not None
        return self.response.headers["location"]

    @property
    def id(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    def send(self, **event: Any) -> None:
        self.caller.send(json.dumps(event))

    async def next(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(await self.caller.message())
        self.events.append(event)
        return event

    async def until(self, kind: str) -> dict[str, Any]:
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                event = await self.next()
                if event["type"] == kind:
                    return event


@asynccontextmanager
async def call_of(
    port: int,
    path: str = "/v1/realtime/calls",
    headers: Mapping[str, str] | None = None,
    plan: Plan | None = None,
    session: Mapping[str, Any] | None = None,
) -> AsyncIterator[CallOfTest]:
    """A call whose data channel is open; it hangs up at the end. With ``session`` the offer goes as a form."""

    async def signal(offer: str) -> str:
        if session is None:
            sent = {"content-type": "application/sdp", **(headers or {})}
            call.response = await post(port, path, offer, sent)
        else:
            files = {
                "sdp": (None, offer, "application/sdp"),
                "session": (None, json.dumps(session), "application/json"),
            }
            call.response = await post(port, path, headers=headers, files=files)
        assert call.response.status_code == 201, call.response.text
        return call.response.text

    async with calling(signal, plan) as caller:
        call = CallOfTest(port, caller)
        await caller.connect()
        yield call


async def a_secret(server: Any, headers: dict[str, str], session: dict[str, Any] | None = None) -> dict[str, str]:
    body = json.dumps({"session": session} if session else {})
    answer = await post(server.port, "/v1/realtime/client_secrets", body, headers)
    return {"authorization": f"Bearer {answer.json()['value']}"}
