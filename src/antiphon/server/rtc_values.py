"""The server's settings in the words of the WebRTC endpoint, and whether it could begin with them."""

import errno
import math
import socket
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from antiphon.server.settings import Settings, SettingsError
from antiphon.web.hosts import is_address, is_loopback

if TYPE_CHECKING:
    from antiphon.rtc.settings import EndpointSettings

__all__ = ["check_calls", "endpoint_settings", "extra_is_installed", "opus_of_calls", "unreachable_outside"]

_HALF_OPEN_SHARE: Final = 0.75
"""Of all sessions: offers that nobody connects for cost little, and must not keep everybody else out."""
_EXTRA: Final = ("aiortc", "av", "ifaddr", "pylibsrtp")
_OFF: Final = "turn calls off with --no-rtc"


def extra_is_installed() -> bool:
    return all(find_spec(name) is not None for name in _EXTRA)


def endpoint_settings(settings: Settings) -> "EndpointSettings":
    """Raises ``SettingsError`` for a host without an address. It takes the extra ``webrtc``."""
    from antiphon.rtc.settings import EndpointSettings, own_addresses

    calls = settings.calls
    addresses = _addresses(settings.host)
    return EndpointSettings(
        addresses=addresses,
        port=settings.chosen_rtc_port,
        own_addresses=own_addresses() if calls.own_addresses and all(map(is_loopback, addresses)) else (),
        public_addresses=settings.public_addresses,
        tcp=settings.rtc_tcp,
        # Sessions are what is counted; a call outlives its session by its goodbye.
        max_calls=2 * settings.max_sessions,
        half_open_calls=min(calls.half_open, math.ceil(settings.max_sessions * _HALF_OPEN_SHARE)),
        half_open_s=calls.half_open_s,
        silent_s=calls.silent_s,
        complexity=calls.complexity,
        bitrate_bps=calls.bitrate_bps,
        output_latency_ms=calls.output_latency_ms,
    )


def check_calls(settings: Settings) -> str:
    """Where calls will be taken, for people; nothing stays bound. Raises ``SettingsError`` where they cannot be.

    It takes the extra ``webrtc``.
    """
    from antiphon.rtc.mux import open_sockets

    opus_of_calls()
    endpoint = endpoint_settings(settings)
    try:
        udp, tcp = open_sockets(endpoint.addresses, endpoint.port, udp=endpoint.udp, tcp=endpoint.tcp)
    except OSError as error:
        raise SettingsError(_explain(settings, error)) from error
    addresses = dict.fromkeys(one.getsockname()[0] for one in (*udp, *tcp))
    for bound in (*udp, *tcp):
        bound.close()
    kinds = "UDP and TCP" if tcp else "UDP"
    port = f"port {endpoint.port}" if endpoint.port else "port of its own choice"
    outside = f", outside {', '.join(endpoint.public_addresses)}" if endpoint.public_addresses else ""
    return f"{kinds} {port} on {', '.join(addresses)}{outside}"


def unreachable_outside(settings: Settings) -> str:
    """What is wrong with public addresses that nothing can arrive from, for people; "" where nothing is."""
    if not (settings.rtc and settings.public_addresses and is_loopback(settings.host)):
        return ""
    outside = ", ".join(settings.public_addresses)
    return f"calls cannot come in from {outside}: the server listens on {settings.host} only"


def opus_of_calls() -> str:
    """What the codec's library calls itself. Raises ``SettingsError`` where there is none."""
    from antiphon.rtc.opus import OpusError, opus_version

    try:
        return opus_version()
    except OpusError as error:
        raise SettingsError(f"{error}, or {_OFF}") from error


def _explain(settings: Settings, error: OSError) -> str:
    port = settings.chosen_rtc_port
    mending = f"choose another with --rtc-port, or {_OFF}"
    if error.errno == errno.EADDRINUSE:
        return f"port {port} for calls over WebRTC is taken by another program: {mending}"
    if error.errno == errno.EACCES:
        return f"port {port} for calls over WebRTC needs more rights than this user has: {mending}"
    return f"cannot take calls over WebRTC on {settings.host} port {port} ({error.strerror or error}): {mending}"


def _addresses(host: str) -> tuple[str, ...]:
    from antiphon.rtc.settings import local_addresses

    found = [address for literal in _literals(host) for address in local_addresses(literal)]
    return tuple(dict.fromkeys(found))


def _literals(host: str) -> Iterator[str]:
    if is_address(host):
        yield host
        return
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise SettingsError(f"host {host!r} has no address on this machine ({error.strerror})") from error
    yield from dict.fromkeys(str(address[0]) for *_, address in found)
