"""A caller for tests and for load: offers, checks, encrypts, talks, and counts what comes back. Cheap: fifty fit in one
process.

Its DTLS and SCTP are aiortc's; media goes past aiortc. It does what it is told and nothing more: no codec, no jitter
buffer.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast

import pylibsrtp
from aiortc.rtcdatachannel import RTCDataChannel, RTCDataChannelParameters
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport
from aiortc.rtcsctptransport import RTCSctpCapabilities, RTCSctpTransport

from antiphon.rtc.rtcp import (
    ReceptionStatistics,
    SenderReport,
    ntp_time,
    parse_rtcp,
    sender_report,
)
from antiphon.rtc.rtp import RtpPacket, is_rtcp, pack_rtp, parse_rtp
from antiphon.rtc.sdp import Direction
from antiphon.rtc.stun import (
    TRANSACTION_ID_BYTES,
    binding_request,
    binding_response,
    parse_binding_request,
    parse_binding_response,
)
from tests.support.rtc_link import PERFECT, Impaired, Impairment, Link, open_link
from tests.support.rtc_offer import Answer, Callee, Plan, read_answer, write_offer

__all__ = ["Caller", "Received", "Setup", "Signal", "calling", "speaking"]

Signal = Callable[[str], Awaitable[str]]
"""Carries an offer to the endpoint and brings its answer."""

_FRAME_S = 0.02
_RETRY_S = 0.05
_KEEP_ALIVE_S = 2.5
_PATIENCE_S = 20.0
_KEPT_REPORTS = 100


@dataclass(frozen=True, slots=True)
class Setup:
    """Seconds from the making of the offer on."""

    answered_s: float
    reached_s: float
    """The first check was answered."""
    encrypted_s: float
    opened_s: float
    """The data channel is open; as ``encrypted_s`` without one."""


@dataclass(slots=True)
class Received:
    """The callee's media, as it came."""

    packets: int = 0
    octets: int = 0
    arrivals_s: list[float] = field(default_factory=list)
    """By the loop's clock, while ``timed``."""
    media: list[RtpPacket] = field(default_factory=list)
    """While ``kept``."""
    timed: bool = False
    kept: bool = False
    last_s: float = 0.0
    reports: deque[object] = field(default_factory=lambda: deque(maxlen=_KEPT_REPORTS))
    """What came as RTCP."""
    statistics: ReceptionStatistics = field(default_factory=lambda: ReceptionStatistics(48_000))
    ssrc: int = 0

    def packet(self, packet: RtpPacket, now_s: float) -> None:
        self.packets += 1
        self.octets += len(packet.payload)
        self.last_s = now_s
        self.ssrc = packet.ssrc
        self.statistics.push(packet.sequence, packet.timestamp, now_s)
        if self.timed:
            self.arrivals_s.append(now_s)
        if self.kept:
            self.media.append(packet)


class Caller:
    """One call. Made by ``calling``."""

    def __init__(
        self,
        signal: Signal,
        tasks: asyncio.TaskGroup,
        plan: Plan,
        *,
        protocol: str,
        ipv6: bool,
        sending: Impairment,
        receiving: Impairment,
        label: str,
    ) -> None:
        self._signal = signal
        self._tasks = tasks
        self._protocol = protocol
        self._ipv6 = ipv6
        self._label = label
        self._outward = Impaired(sending)
        self._inward = Impaired(receiving)
        self._own_tasks: list[asyncio.Task[None]] = []
        self._shim = _Shim(self._send)
        self._dtls = RTCDtlsTransport(cast(Any, self._shim), [_certificate()])
        self._sctp: RTCSctpTransport | None = None
        self._link: Link | None = None
        self._callee: Callee | None = None
        self._checked: dict[bytes, asyncio.Future[None]] = {}
        self._tie_breaker = secrets.randbits(64)
        self.plan = plan
        self.answer: Answer | None = None
        self.channel: RTCDataChannel | None = None
        self.messages: asyncio.Queue[str | bytes] = asyncio.Queue()
        self.on_message: Callable[[str | bytes], None] = self.messages.put_nowait
        self.opened = asyncio.Event()
        self.channel_closed = asyncio.Event()
        self.ended = asyncio.Event()
        """The callee said goodbye, or we did."""
        self.received = Received()
        self.ssrc = secrets.randbits(32)
        self.sequence = secrets.randbits(16)
        self.timestamp = secrets.randbits(32)
        self.sent_packets = 0
        self.sent_octets = 0

    # Setting up

    async def connect(self) -> Setup:
        """Offers, and waits until the call is encrypted and its data channel, if one is offered, is open."""
        now = asyncio.get_running_loop().time
        begun = now()
        async with asyncio.timeout(_PATIENCE_S):
            await self._offer()
            answered = now()
            if self.answer is not None and self.answer.codec is not None:
                self.received.statistics = ReceptionStatistics(self.answer.codec.clock_hz)
            await self._reach()
            reached = now()
            await self._encrypt()
            encrypted = now()
            if self.plan.data:
                await self._open_channel()
            opened = now() if self.plan.data else encrypted
        self._own(self._keep_alive(), "keep alive")
        return Setup(answered - begun, reached - begun, encrypted - begun, opened - begun)

    async def renegotiate(
        self, audio: Sequence[Direction] | None = None, *, restart_ice: bool = False, signal: Signal | None = None
    ) -> Answer:
        """Offers anew, with other audio sections or new ICE credentials; nothing else of the call changes."""
        self._signal = signal or self._signal
        self.plan = self.plan.next(audio, restart_ice)
        await self._offer()
        await self.check()
        assert self.answer is not None
        return self.answer

    async def move(self) -> None:
        """From now on the call comes from another port."""
        link = self._link
        await self._reach()
        if link is not None:
            link.close()

    async def check(self, *, nominate: bool = True) -> None:
        """Sends checks until one is answered."""
        while True:
            answered = self._send_check(nominate)
            try:
                async with asyncio.timeout(_RETRY_S):
                    await asyncio.shield(answered)
            except TimeoutError:
                continue
            return

    # Talking

    def send(self, message: str | bytes) -> None:
        assert self.channel is not None
        self.channel.send(message)

    async def message(self) -> str | bytes:
        """The next one of the data channel that nobody has taken."""
        async with asyncio.timeout(_PATIENCE_S):
            return await self.messages.get()

    def say(self, payload: bytes, *, skip_frames: int = 0, marker: bool = False) -> None:
        """Sends one frame of 20 ms; time stamps go on as if ``skip_frames`` had not been sent before it (a pause)."""
        assert self.answer is not None
        assert self.answer.codec is not None
        step = self.answer.codec.clock_hz // 50
        self.timestamp += skip_frames * step
        self.send_rtp(
            RtpPacket(
                self.answer.codec.payload_type,
                marker,
                self.sequence & 0xFFFF,
                self.timestamp & 0xFFFFFFFF,
                self.ssrc,
                payload,
            )
        )
        self.sequence += 1
        self.timestamp += step

    def send_rtp(self, packet: RtpPacket) -> None:
        """Sends any packet, right or wrong."""
        self.sent_packets += 1
        self.sent_octets += len(packet.payload)
        self._send(self._dtls._tx_srtp.protect(pack_rtp(packet)))

    def send_rtcp(self, packet: bytes) -> None:
        self._send(self._dtls._tx_srtp.protect_rtcp(packet))

    def report(self, unix_s: float) -> None:
        """Sends a sender report with what was received, as of this time of day."""
        now_s = asyncio.get_running_loop().time()
        blocks = (self.received.statistics.block(self.received.ssrc, now_s),) if self.received.packets else ()
        report = SenderReport(
            self.ssrc,
            ntp_time(unix_s),
            self.timestamp & 0xFFFFFFFF,
            self.sent_packets,
            self.sent_octets,
            blocks,
        )
        self.send_rtcp(sender_report(report, "caller"))

    def send_raw(self, packet: bytes) -> None:
        """Sends bytes past all encryption."""
        self._send(packet)

    # Ending

    async def close(self) -> None:
        """Hangs up as a browser does: the association is aborted, DTLS closed."""
        if self._sctp is not None:
            await self._sctp.stop()
        await self._dtls.stop()
        await self.vanish()

    async def vanish(self) -> None:
        """Gone without a word."""
        self.ended.set()
        if self._link is not None:
            self._link.close()
            self._link = None
        for task in self._own_tasks:
            task.cancel()
        self._shim.end()
        if self._sctp is not None:
            await self._sctp.stop()
        self._dtls.remove_all_listeners()

    # Inside

    async def _offer(self) -> None:
        fingerprint = next(own.value for own in _certificate().getFingerprints() if own.algorithm == "sha-256")
        self.answer = read_answer(await self._signal(write_offer(self.plan, fingerprint, self.ssrc)))

    async def _reach(self) -> None:
        assert self.answer is not None
        self._callee = callee = next(
            callee
            for callee in self.answer.callees
            if callee.protocol == self._protocol and (":" in callee.address) == self._ipv6
        )
        self._link = await open_link(callee.protocol, callee.address, callee.port, self._arrived, self._tasks)
        await self.check()

    def _send_check(self, nominate: bool) -> asyncio.Future[None]:
        assert self.answer is not None
        transaction_id = secrets.token_bytes(TRANSACTION_ID_BYTES)
        if len(self._checked) > 32:
            self._checked.clear()
        answered = self._checked[transaction_id] = asyncio.get_running_loop().create_future()
        self._send(
            binding_request(
                transaction_id,
                f"{self.answer.ufrag}:{self.plan.credentials[0]}",
                self.answer.pwd.encode(),
                priority=0x6E7F00FF,
                tie_breaker=self._tie_breaker,
                use_candidate=nominate,
            )
        )
        return answered

    async def _encrypt(self) -> None:
        assert self.answer is not None
        fingerprint = RTCDtlsFingerprint("sha-256", self.answer.fingerprint)
        self._dtls._set_role("server" if self.answer.active else "client")
        await self._dtls.start(RTCDtlsParameters([fingerprint]))
        if self._dtls._task is not None:
            self._dtls._task.cancel()  # its loop is ``_pump``
            self._dtls._task = None
        if self._dtls.state != "connected":
            raise ConnectionError("the DTLS handshake failed")
        self._own(self._pump(), "DTLS")

    async def _open_channel(self) -> None:
        self._sctp = RTCSctpTransport(self._dtls)
        self.channel = RTCDataChannel(self._sctp, RTCDataChannelParameters(label=self._label))
        self.channel.on("open", self.opened.set)
        self.channel.on("close", self.channel_closed.set)
        self.channel.on("message", lambda message: self.on_message(message))
        await self._sctp.start(RTCSctpCapabilities(maxMessageSize=0), 5000)
        await self.opened.wait()

    async def _pump(self) -> None:
        try:
            while True:
                await self._dtls._recv_next()
        except ConnectionError:
            self.ended.set()

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(_KEEP_ALIVE_S)
            self._send_check(nominate=True)

    def _own(self, work: Any, name: str) -> None:
        self._own_tasks.append(self._tasks.create_task(work, name=f"caller: {name}"))

    def _send(self, packet: bytes) -> None:
        if self._link is not None:
            for carried in self._outward.carry(packet):
                self._link.send(carried)

    def _arrived(self, packet: bytes) -> None:
        for carried in self._inward.carry(packet) if packet else ():
            kind = carried[0]
            if kind < 4:
                self._checks(carried)
            elif 19 < kind < 64:
                self._shim.arrived(carried)
            elif 127 < kind < 192:
                self._media(carried)

    def _checks(self, packet: bytes) -> None:
        assert self.answer is not None
        assert self._callee is not None
        key = self.plan.credentials[1].encode()
        request = parse_binding_request(packet)
        if request is not None and request.verify(key):  # a callee that is not "lite" checks too
            self._send(binding_response(request, (self._callee.address, self._callee.port), key))
        response = parse_binding_response(packet)
        if response is None or not response.verify(self.answer.pwd.encode()):
            return
        answered = self._checked.pop(response.transaction_id, None)
        if answered is not None and not answered.done():
            answered.set_result(None)

    def _media(self, packet: bytes) -> None:
        if self._dtls._rx_srtp is None:
            return
        now_s = asyncio.get_running_loop().time()
        try:
            if is_rtcp(packet):
                self._reported(self._dtls._rx_srtp.unprotect_rtcp(packet), now_s)
                return
            media = parse_rtp(self._dtls._rx_srtp.unprotect(packet))
        except pylibsrtp.Error:  # a repeated packet
            return
        if media is not None:
            self.received.packet(media, now_s)

    def _reported(self, packet: bytes, now_s: float) -> None:
        for report in parse_rtcp(packet):
            self.received.reports.append(report)
            if isinstance(report, SenderReport):
                self.received.statistics.sender_reported(report, now_s)


@cache
def _certificate() -> RTCCertificate:
    """One for all callers."""
    return RTCCertificate.generateCertificate()


class _Shim:
    """What aiortc's DTLS needs of an ICE transport."""

    role = "controlling"
    state = "completed"

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._deliver = send
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()

    def arrived(self, packet: bytes) -> None:
        self._queue.put_nowait(packet)

    def end(self) -> None:
        self._queue.put_nowait(None)

    async def _recv(self) -> bytes:
        packet = await self._queue.get()
        if packet is None:
            raise ConnectionError
        return packet

    async def _send(self, data: bytes) -> None:
        self._deliver(data)


@asynccontextmanager
async def calling(
    signal: Signal,
    plan: Plan | None = None,
    *,
    protocol: str = "udp",
    ipv6: bool = False,
    sending: Impairment = PERFECT,
    receiving: Impairment = PERFECT,
    label: str = "oai-events",
) -> AsyncIterator[Caller]:
    """A caller that has not called yet. It hangs up at the end, and nothing of it is left."""
    async with asyncio.TaskGroup() as tasks:
        caller = Caller(
            signal,
            tasks,
            plan or Plan(),
            protocol=protocol,
            ipv6=ipv6,
            sending=sending,
            receiving=receiving,
            label=label,
        )
        try:
            yield caller
        finally:
            await caller.close()


async def speaking(callers: Sequence[Caller], payloads: Sequence[bytes], frames: int) -> None:
    """All say these frames over and over, at 50 a second on a clock that never drifts; each begins further on than the
    one before.
    """
    places = [len(payloads) * number // len(callers) for number in range(len(callers))]
    now = asyncio.get_running_loop().time
    begun = now()
    for frame in range(frames):
        for caller, place in zip(callers, places, strict=True):
            if not caller.ended.is_set():
                caller.say(payloads[(place + frame) % len(payloads)])
        await asyncio.sleep(max(0.0, begun + (frame + 1) * _FRAME_S - now()))
