"""The encryption of a call: aiortc's DTLS transport in the server's role, with one certificate for all calls.

Everything that depends on aiortc's ``RTCDtlsTransport`` is in this file. The private members that it uses, checked by
``tests/rtc/test_aiortc_members.py``: ``RTCCertificate._create_ssl_context``, ``_cert`` and ``_key``;
``RTCDtlsTransport._set_role``, ``_srtp_profiles``, ``_validate_peer_identity``, ``_recv_next``, ``_task``, ``_ssl``,
``_rx_srtp``, ``_tx_srtp``, ``_set_state``, ``_data_receiver``; and what it asks of an ICE transport.
"""

import asyncio
import hmac
import itertools
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import Any, Final

from aiortc import rtcdtlstransport as aiodtls
from aiortc.rtcdtlstransport import (
    RTCCertificate,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
    SRTPProtectionProfile,
    State,
)
from OpenSSL import SSL

from antiphon.rtc.srtp import Srtp

__all__ = ["Certificate", "Dtls"]

_LOG = logging.getLogger(__name__)

_MAX_WAITING: Final = 1024
"""Datagrams that arrived and were not looked at; one wake of a socket brings no more."""
_DATAGRAMS_A_TURN: Final = 16
"""Looked at before others have their turn: what waits here is taken without a pause otherwise."""
_CIPHERS: Final = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA"
)
_PROFILES: Final = [
    profile
    for profile in (aiodtls.SRTP_AEAD_AES_128_GCM, aiodtls.SRTP_AEAD_AES_256_GCM, aiodtls.SRTP_AES128_CM_SHA1_80)
    if profile in aiodtls.SRTP_PROFILES
]
"""The cheapest of the strong ones first: ours decides."""


class Certificate:
    """What an endpoint shows to all its peers: an ECDSA key, made afresh."""

    def __init__(self) -> None:
        self._certificate: _SharedCertificate = _SharedCertificate.generateCertificate()
        self.fingerprint: str = next(
            fingerprint.value
            for fingerprint in self._certificate.getFingerprints()
            if fingerprint.algorithm == "sha-256"
        )
        """Of SHA-256: upper-case hexadecimal with colons."""

    def dtls(self, send: Callable[[bytes], None], fingerprints: Collection[str]) -> "Dtls":
        """A connection that waits for a peer with one of these SHA-256 fingerprints."""
        return Dtls(self._certificate, send, fingerprints)


class Dtls:
    """One peer's connection. Datagrams go in through ``feed``, out through ``send``; no task of its own."""

    def __init__(
        self, certificate: "_SharedCertificate", send: Callable[[bytes], None], fingerprints: Collection[str]
    ) -> None:
        self._wire = _Wire(send)
        self._transport = _Transport(self._wire, certificate, fingerprints)
        self.srtp: Srtp | None = None
        """From the end of the handshake on."""

    def feed(self, datagram: bytes) -> bool:
        """Takes what arrived; False if there is no room."""
        return self._wire.feed(datagram)

    async def handshake(self) -> bool:
        """Waits until the peer is connected and known; False if it is another one, or something went wrong."""
        transport = self._transport
        await transport.start(RTCDtlsParameters([RTCDtlsFingerprint("sha-256", "verified by our own method")]))
        if transport._task is not None:
            transport._task.cancel()  # its loop is ours, in ``pump``
            transport._task = None
        if transport.state != "connected":
            return False
        self.srtp = Srtp(transport._tx_srtp, transport._rx_srtp)
        return True

    async def pump(self, receive: Callable[[bytes], Awaitable[None]]) -> None:
        """Passes data on until the peer says goodbye or ``interrupt`` is called."""
        transport = self._transport
        transport._data_receiver = _Receiver(receive)
        try:
            for number in itertools.count(1):
                await transport._recv_next()
                await self._take_rest(receive)
                if number % _DATAGRAMS_A_TURN == 0:
                    await asyncio.sleep(0)
        except ConnectionError:
            return
        finally:
            transport._data_receiver = None

    async def _take_rest(self, receive: Callable[[bytes], Awaitable[None]]) -> None:
        """A datagram may hold several records, of which ``_recv_next`` takes one: the others would pile up."""
        while self._transport._ssl is not None:
            try:
                data = self._transport._ssl.recv(_Wire.MAX_BYTES)
            except SSL.WantReadError:
                return
            except SSL.Error:  # a goodbye, or what only the peer itself can break
                raise ConnectionError from None
            await receive(data)

    def send_data(self, data: bytes) -> None:
        """Encrypts and sends at once; what cannot be sent is lost, as on any network."""
        transport = self._transport
        if transport.state != "connected" or transport._ssl is None:
            return
        try:
            transport._ssl.send(data)
            self._wire.send(transport._ssl.bio_read(_Wire.MAX_BYTES))
        except SSL.Error:
            _LOG.debug("DTLS took no data", exc_info=True)

    def interrupt(self) -> None:
        """Ends ``handshake`` and ``pump``. Sending goes on."""
        self._wire.interrupt()

    async def stop(self) -> None:
        """Says goodbye, and lets go of everything."""
        transport = self._transport
        await transport.stop()
        if transport.encrypted and transport.state == "failed" and transport._ssl is not None:
            with suppress(SSL.Error):  # the peer believes that it is connected
                transport._ssl.shutdown()
                self._wire.send(transport._ssl.bio_read(_Wire.MAX_BYTES))
        self._wire.interrupt()
        self._wire.send = _nowhere
        transport.remove_all_listeners()


class _Wire:
    """What ``RTCDtlsTransport`` needs of an ICE transport."""

    MAX_BYTES: Final = 2048
    role = "controlled"
    state = "completed"

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self.send = send
        self._arrived: deque[bytes] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._interrupted = False

    def feed(self, datagram: bytes) -> bool:
        if self._interrupted or len(self._arrived) >= _MAX_WAITING:
            return False
        self._arrived.append(datagram)
        self._wake()
        return True

    def interrupt(self) -> None:
        self._interrupted = True
        self._arrived.clear()
        self._wake()

    async def _recv(self) -> bytes:
        while not self._arrived:
            if self._interrupted:
                raise ConnectionError
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        return self._arrived.popleft()

    async def _send(self, data: bytes) -> None:
        self.send(data)

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


class _SharedCertificate(RTCCertificate):
    """Keeps one context for all connections, without the sessions that OpenSSL would remember in it."""

    _context: SSL.Context | None = None

    def _create_ssl_context(self, srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
        if self._context is None:
            context = SSL.Context(SSL.DTLS_METHOD)
            context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION)
            context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
            context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _accept_any)
            context.use_certificate(self._cert)
            context.use_privatekey(self._key)
            context.set_cipher_list(_CIPHERS)
            context.set_tlsext_use_srtp(b":".join(profile.openssl_profile for profile in srtp_profiles))
            self._context = context
        return self._context


class _Transport(RTCDtlsTransport):
    def __init__(self, wire: Any, certificate: RTCCertificate, fingerprints: Collection[str]) -> None:
        super().__init__(wire, [certificate])
        self._set_role("server")
        self._srtp_profiles = _PROFILES
        self._fingerprints = [fingerprint.upper().encode() for fingerprint in fingerprints]

    def _validate_peer_identity(self, remoteParameters: RTCDtlsParameters) -> None:  # noqa: N803 - its name there
        certificate = self._ssl.get_peer_certificate(as_cryptography=True) if self._ssl else None
        shown = aiodtls.certificate_digest(certificate, "sha-256").encode() if certificate else b""
        if not any(hmac.compare_digest(shown, fingerprint) for fingerprint in self._fingerprints):
            _LOG.debug("the peer's certificate is not the one that its offer names")
            self._set_state(State.FAILED)


class _Receiver:
    def __init__(self, receive: Callable[[bytes], Awaitable[None]]) -> None:
        self._receive = receive

    async def _handle_data(self, data: bytes) -> None:
        await self._receive(data)


def _accept_any(*_: object) -> bool:
    """Certificates are self-signed: the fingerprint in the offer tells whose they are."""
    return True


def _nowhere(data: bytes) -> None:
    pass
