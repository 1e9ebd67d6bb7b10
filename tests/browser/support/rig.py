"""The endpoint behind the smallest signalling there is: it says a tone, measures what it hears, echoes messages."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from antiphon.audio.pcm import pcm_to_samples, samples_to_pcm
from antiphon.rtc.call import Call, CallEnd
from antiphon.rtc.endpoint import Endpoint
from antiphon.rtc.sdp import SdpError
from antiphon.rtc.settings import EndpointSettings, local_addresses, own_addresses
from tests.browser.support.application import page_routes
from tests.support.mcp_server import running_app

__all__ = ["SAID_HZ", "SILENT_S", "Rig", "RigCall", "running_rig", "strongest_hz", "until"]

SAID_HZ: Final = 1000
SILENT_S: Final = 6.0
"""After so long without a sign the endpoint "impatient" gives a call up; the others wait as long as a server does."""
_HZ: Final = 24_000
_SAID_S: Final = 60
_MEASURED_BYTES: Final = _HZ * 2 // 2
_QUIET_RMS: Final = 0.01


async def until(condition: Callable[[], bool], what: str, timeout_s: float = 10.0) -> None:
    """Look every 10 ms: what a browser does cannot be waited for in another way."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"not within {timeout_s:g} s: {what}"
        await asyncio.sleep(0.01)


def strongest_hz(samples: ArrayLike, sample_rate_hz: int) -> int:
    """The strongest frequency."""
    values = np.asarray(samples)
    spectrum = np.abs(np.fft.rfft(values * np.hanning(len(values))))
    return round(float(np.argmax(spectrum)) * sample_rate_hz / len(values))


class RigCall:
    """The server's side of one call."""

    call: Call

    def __init__(self) -> None:
        self.samples_heard = 0
        self.messages: list[str | bytes] = []
        self.refused_bytes: list[int] = []
        self.is_connected = False
        self.end: CallEnd | None = None
        self._newest = bytearray()

    def connected(self) -> None:
        self.is_connected = True
        self.call.play("tone", _tone(_SAID_S))

    def channel_opened(self, label: str) -> None:
        pass

    def message_received(self, data: str | bytes) -> None:
        """``give N`` is answered by N bytes, everything else by itself."""
        self.messages.append(data)
        if isinstance(data, str) and data.startswith("give "):
            data = "y" * int(data.removeprefix("give "))
        self.call.send(data)

    def message_refused(self, size_bytes: int) -> None:
        self.refused_bytes.append(size_bytes)

    def audio_received(self, pcm: bytes) -> None:
        self.samples_heard += len(pcm) // 2
        self._newest += pcm
        del self._newest[:-_MEASURED_BYTES]

    def playout_started(self, tag: Hashable) -> None:
        pass

    def playout_ended(self, tag: Hashable, sent_samples: int) -> None:
        pass

    def playout_taken(self) -> None:
        pass

    def closed(self, reason: CallEnd) -> None:
        assert self.end is None, "a call ends once"
        self.end = reason

    @property
    def heard_hz(self) -> int | None:
        """The strongest frequency of the last half second; None: silence, or not yet so much."""
        samples = pcm_to_samples(bytes(self._newest))
        if len(self._newest) < _MEASURED_BYTES or np.sqrt(np.mean(samples**2)) < _QUIET_RMS:
            return None
        return strongest_hz(samples, _HZ)

    async def hears(self, hz: int) -> None:
        await until(lambda: abs((self.heard_hz or 0) - hz) < 10, f"{hz} Hz heard; it is {self.heard_hz}")

    async def hears_nothing(self) -> None:
        await until(lambda: self.heard_hz is None, "silence")

    async def has_ended(self, timeout_s: float) -> CallEnd:
        await until(lambda: self.end is not None, "the end of the call", timeout_s)
        assert self.end is not None
        return self.end


class Rig:
    """Endpoints by name, and an HTTP server that hands offers to them: ``POST /calls?at=NAME``, ``POST /calls/ID``."""

    def __init__(self, endpoints: dict[str, Endpoint]) -> None:
        self.endpoints = endpoints
        self.calls: dict[str, RigCall] = {}
        self.address = ""

    def app(self) -> Starlette:
        calls = Route("/calls", self._call, methods=["POST"])
        again = Route("/calls/{id}", self._call_again, methods=["POST"])
        return Starlette(routes=[*page_routes(), calls, again])

    def named(self, location: str) -> RigCall:
        """The call that a page got this address for."""
        return self.calls[location.rpartition("/")[2]]

    async def _call(self, request: Request) -> Response:
        offer = (await request.body()).decode()
        events = RigCall()
        try:
            events.call = self.endpoints[request.query_params.get("at", "patient")].call(offer, events)
        except SdpError as error:
            return PlainTextResponse(str(error), 400)
        call_id = secrets.token_hex(8)
        self.calls[call_id] = events
        return _answer(events.call.answer, 201, {"Location": f"/calls/{call_id}"})

    async def _call_again(self, request: Request) -> Response:
        call = self.calls[request.path_params["id"]].call
        return _answer(call.renegotiate((await request.body()).decode()), 200, {})


def _answer(sdp: str, status: int, headers: dict[str, str]) -> Response:
    return Response(sdp, status, headers, "application/sdp")


def _tone(seconds: int) -> bytes:
    at = np.arange(_HZ) / _HZ
    return samples_to_pcm(0.3 * np.sin(2 * np.pi * SAID_HZ * at)) * seconds


@asynccontextmanager
async def running_rig() -> AsyncIterator[Rig]:
    settings = {
        "patient": EndpointSettings(addresses=("127.0.0.1",), port=0, max_calls=50),
        "impatient": EndpointSettings(addresses=("127.0.0.1",), port=0, max_calls=50, silent_s=SILENT_S),
        "own": EndpointSettings(
            addresses=local_addresses("127.0.0.1"), port=0, own_addresses=own_addresses(), max_calls=50
        ),
        "tcp": EndpointSettings(addresses=("127.0.0.1",), port=0, max_calls=50, udp=False),
    }
    async with AsyncExitStack() as stack:
        endpoints = {name: await stack.enter_async_context(Endpoint(one)) for name, one in settings.items()}
        rig = Rig(endpoints)
        served = await stack.enter_async_context(running_app(rig.app()))
        rig.address = f"http://{served.host}"
        yield rig
