"""The WebRTC endpoint of a process: its sockets, its clock and its calls."""

import asyncio
import bisect
import ipaddress
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from antiphon.rtc.call import Call, CallEnd, CallEvents, Means
from antiphon.rtc.mux import Mux, UdpSocket, open_own_sockets, open_sockets
from antiphon.rtc.opus import OpusEncoder
from antiphon.rtc.pacer import Pacer
from antiphon.rtc.playout import PLAYOUT_HZ
from antiphon.rtc.sdp import parse_offer
from antiphon.rtc.sdp_answer import Candidate
from antiphon.rtc.settings import EndpointSettings, plain_literal
from antiphon.rtc.tcp import TcpListener

__all__ = ["LATENESS_BOUNDS_MS", "CallLimitError", "Endpoint", "EndpointStatistics"]

LATENESS_BOUNDS_MS: Final = (1, 2, 5, 10, 20, 50, 100, 200)
_MAX_LOOK_S: Final = 0.5
_STALL_S: Final = 1.0
"""A loop that stood still for longer has checks to read yet that came meanwhile."""
_MAX_CANDIDATES: Final = 16


class CallLimitError(Exception):
    """There is no room for a further call now."""


@dataclass(frozen=True, slots=True)
class EndpointStatistics:
    """For metrics. Counts are since the start."""

    calls: int
    """Now."""
    half_open: int
    """Of these, not connected yet."""
    ended: Mapping[CallEnd, int]
    dropped: Mapping[str, int]
    """Packets, by reason."""
    tick_lateness: tuple[int, ...]
    """Ticks by how late they came: up to each of ``LATENESS_BOUNDS_MS``, and later than the last."""
    late_s: float
    """Sum over all ticks."""
    dropped_ticks: int
    """Those that never came, after a stall."""


class Endpoint:
    """``async with Endpoint(settings)`` binds the sockets; the end says goodbye to all calls and leaves nothing behind.

    OSError if the port is taken or no address can be bound, ``OpusError`` if libopus is missing.
    """

    def __init__(self, settings: EndpointSettings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self._calls: set[Call] = set()
        self._ended: Counter[CallEnd] = Counter()
        self._lateness = [0] * (len(LATENESS_BOUNDS_MS) + 1)
        self._late_s = 0.0
        self._mux = Mux()
        self._udp: list[UdpSocket] = []
        self._addresses: tuple[str, ...] = ()
        self._closing = False
        self.port = 0
        """Of all sockets."""

    async def __aenter__(self) -> Self:
        from antiphon.rtc.dtls import Certificate

        settings = self._settings
        OpusEncoder(PLAYOUT_HZ, bitrate_bps=settings.bitrate_bps, complexity=settings.complexity).close()
        async with AsyncExitStack() as stack:
            await self._bind(stack)
            self._pacer = Pacer(self._late)
            stack.callback(self._pacer.close)
            self._means = Means(settings, self._mux, self._pacer, Certificate(), self._release)
            self._tasks = await stack.enter_async_context(asyncio.TaskGroup())
            self._reaper = self._tasks.create_task(self._reap(), name="rtc reaper")
            stack.push_async_callback(self._hang_up)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()  # whatever ended the block stays as it is; the task group must not wrap it

    @property
    def calls(self) -> int:
        return len(self._calls)

    @property
    def statistics(self) -> EndpointStatistics:
        return EndpointStatistics(
            calls=len(self._calls),
            half_open=self._half_open(),
            ended=dict(self._ended),
            dropped=dict(self._mux.dropped),
            tick_lateness=tuple(self._lateness),
            late_s=self._late_s,
            dropped_ticks=self._pacer.dropped_ticks,
        )

    def call(self, offer: str, events: CallEvents, *, reached_at: str | None = None) -> Call:
        """Answers an offer. ``reached_at``: the local address at which it came, which is named first in the answer.

        ``SdpError`` if it cannot be answered, ``CallLimitError`` if there is no room.
        """
        if self._closing:
            raise CallLimitError("calls are not taken any more: the server is shutting down")
        if len(self._calls) >= self._settings.max_calls:
            raise CallLimitError(f"there are {len(self._calls)} calls, and no more are taken")
        parsed = parse_offer(offer)
        if self._half_open() >= self._settings.half_open_calls:
            raise CallLimitError("too many calls wait for their callers to connect: try again in some seconds")
        call = Call(self._means, parsed, list(self._candidates(reached_at)), events)
        self._calls.add(call)
        self._tasks.create_task(call.live(), name="rtc call")
        return call

    async def _bind(self, stack: AsyncExitStack) -> None:
        settings = self._settings
        udp, tcp = open_sockets(settings.addresses, settings.port, udp=settings.udp, tcp=settings.tcp)
        for one in (*udp, *tcp):
            stack.callback(one.close)
        self.port = (udp or tcp)[0].getsockname()[1]
        own_udp, own_tcp = open_own_sockets(settings.own_addresses, self.port, udp=settings.udp, tcp=settings.tcp)
        for one in (*own_udp, *own_tcp):
            stack.callback(one.close)
        self._addresses = tuple(dict.fromkeys(one.getsockname()[0] for one in (*udp, *tcp, *own_udp, *own_tcp)))
        own = frozenset(map(plain_literal, (*settings.addresses, *settings.own_addresses)))
        for bound in (*udp, *own_udp):
            local = UdpSocket(self._mux, bound, own if bound in own_udp else None)
            await local.open()
            stack.callback(local.close)
            self._udp.append(local)
        self._listener = TcpListener(self._mux, [*((one, None) for one in tcp), *((one, own) for one in own_tcp)])
        await self._listener.open()
        stack.push_async_callback(self._listener.close)

    def _candidates(self, reached_at: str | None) -> Iterator[Candidate]:
        """Where the peer may send its checks, the most promising first."""
        settings = self._settings
        addresses = dict.fromkeys([*settings.public_addresses, *self._addresses])
        reached = plain_literal(reached_at or "")
        if reached in addresses:
            addresses = dict.fromkeys([reached, *addresses])
        if reached and not _is_loopback(reached):
            addresses = dict.fromkeys(one for one in addresses if not _is_loopback(one)) or addresses
        for address in list(addresses)[:_MAX_CANDIDATES]:
            if settings.udp:
                yield Candidate(address, self.port, "udp")
            if settings.tcp:
                yield Candidate(address, self.port, "tcp")

    def _half_open(self) -> int:
        return sum(not call.connected for call in self._calls)

    def _release(self, call: Call, reason: CallEnd) -> None:
        self._calls.discard(call)
        self._ended[reason] += 1

    async def _reap(self) -> None:
        settings = self._settings
        period_s = min(_MAX_LOOK_S, settings.half_open_s / 4, settings.silent_s / 4)
        clock = asyncio.get_running_loop().time
        looked_s = clock()
        while True:
            await asyncio.sleep(period_s)
            before_s, looked_s = looked_s, clock()
            self._look(looked_s, stalled_s=looked_s - before_s - period_s)

    def _look(self, now_s: float, *, stalled_s: float) -> None:
        for call in list(self._calls):
            if stalled_s > _STALL_S:
                call.excuse(stalled_s)
            call.look(now_s)

    async def _hang_up(self) -> None:
        """Ends all calls, which takes them little more than a second; their tasks are waited for after this."""
        self._closing = True
        self._reaper.cancel()
        for call in list(self._calls):
            call.close()

    def _late(self, late_s: float) -> None:
        self._late_s += late_s
        self._lateness[bisect.bisect_left(LATENESS_BOUNDS_MS, late_s * 1000)] += 1


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback
