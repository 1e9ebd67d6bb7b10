"""What settings must fulfil together, beyond each being valid by itself."""

import importlib.util
import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from antiphon.core.limits import Limits
from antiphon.core.mcp_urls import allowed_host
from antiphon.engines.registry import EngineKind
from antiphon.server.client_secrets import SIGNING_KEY_MIN_CHARS
from antiphon.server.prompts import PromptsError, read_prompts
from antiphon.server.tracing_settings import EXTRA, extra_is_installed
from antiphon.web.hosts import is_loopback, is_origin, points_at

if TYPE_CHECKING:
    from antiphon.server.settings import Settings

__all__ = ["SettingsError", "check_together"]

_PORT_MAX = 65535


class SettingsError(Exception):
    """The settings cannot be used; the message is one line that says how to mend them."""


def check_together(settings: "Settings") -> None:
    """Raises ``SettingsError`` for the first thing that does not fit."""
    _check_tls(settings)
    _check_access(settings)
    _check_signing_keys(settings)
    _check_calls(settings)
    _check_loops(settings)
    _check_mcp(settings)
    _check_otel(settings)
    if settings.record_dir is not None and not settings.record_dir.is_dir():
        raise SettingsError(f"record_dir: there is no folder {str(settings.record_dir)!r}")
    _check_prompts(settings)
    if settings.session_audio_bytes > settings.process_audio_bytes:
        raise SettingsError("session_audio_bytes is more than process_audio_bytes: no session could use it up")


def _check_prompts(settings: "Settings") -> None:
    if settings.prompts_file is None:
        return
    try:
        read_prompts(settings.prompts_file, Limits(**settings.limits.model_dump()))
    except PromptsError as error:
        raise SettingsError(f"prompts_file: {error}") from None


def _check_tls(settings: "Settings") -> None:
    if (settings.tls_cert is None) != (settings.tls_key is None):
        missing = "tls_key" if settings.tls_key is None else "tls_cert"
        raise SettingsError(f"{missing} is missing: TLS needs both tls_cert and tls_key (or tls_self_signed alone)")
    if settings.tls_self_signed and settings.tls_cert is not None:
        raise SettingsError("tls_self_signed and tls_cert exclude each other: leave one of them out")
    for name in ("tls_cert", "tls_key"):
        path: Path | None = getattr(settings, name)
        if path is not None and not path.is_file():
            raise SettingsError(f"{name}: there is no file {str(path)!r}")


def _check_access(settings: "Settings") -> None:
    if not settings.api_keys and not is_loopback(settings.host):
        raise SettingsError(
            f"host {settings.host} can be reached from other machines, so keys are required: "
            "set ANTIPHON_API_KEYS=<key>[,<key>...], or keep to --host 127.0.0.1"
        )
    for key in settings.api_keys:
        text = key.get_secret_value()
        if not text.isascii() or not text.isprintable() or " " in text:
            raise SettingsError("api_keys: a key must be of visible ASCII characters, without spaces")
    for origin in settings.allowed_origins:
        if not is_origin(origin):
            raise SettingsError(f"allowed_origins: {origin!r} is not an origin, such as https://app.example.com")
    for host in settings.allowed_hosts:
        if "/" in host or "*" in host:
            raise SettingsError(f"allowed_hosts: {host!r} is not a host name, such as voice.example.com")
    for proxy in settings.trusted_proxies:
        try:
            ipaddress.ip_network(proxy)
        except ValueError:
            raise SettingsError(f"trusted_proxies: {proxy!r} is neither an address nor a network") from None


def _check_signing_keys(settings: "Settings") -> None:
    for key in settings.client_secret_keys:
        if len(key.get_secret_value()) < SIGNING_KEY_MIN_CHARS:
            raise SettingsError(
                f"client_secret_keys: a key must have at least {SIGNING_KEY_MIN_CHARS} characters, "
                "as `openssl rand -hex 32` makes them"
            )


def _check_calls(settings: "Settings") -> None:
    if settings.rtc and settings.chosen_rtc_port > _PORT_MAX:
        raise SettingsError(f"port + 1 is above {_PORT_MAX}: set rtc_port (--rtc-port), the port of calls over WebRTC")
    if settings.rtc and settings.rtc_tcp and settings.port and settings.chosen_rtc_port == settings.port:
        raise SettingsError("rtc_port is port, which HTTP takes: choose another, or turn rtc_tcp off")
    for address in settings.public_addresses:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise SettingsError(f"public_addresses: {address!r} is not an address, such as 203.0.113.7") from None


def _check_mcp(settings: "Settings") -> None:
    for entry in settings.mcp.allowed_hosts:
        try:
            allowed_host(entry)
        except ValueError as error:
            raise SettingsError(f"mcp.allowed_hosts: {error}") from None
    for network in settings.mcp.allowed_networks:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            raise SettingsError(f"mcp.allowed_networks: {network!r} is neither an address nor a network") from None
    if settings.mcp.allowed_hosts and importlib.util.find_spec("mcp") is None:
        raise SettingsError("mcp.allowed_hosts needs the package mcp: pip install 'antiphon[local]', or leave it out")


def _check_otel(settings: "Settings") -> None:
    endpoint = settings.otel.endpoint
    if not endpoint:
        return
    address = urlsplit(endpoint)
    if address.scheme not in ("http", "https") or not address.netloc:
        raise SettingsError(f"otel.endpoint: {endpoint!r} is not an address, such as http://127.0.0.1:4318")
    if not extra_is_installed():
        raise SettingsError(f"otel.endpoint needs an extra: {EXTRA}, or leave it out")


def _check_loops(settings: "Settings") -> None:
    for kind in EngineKind:
        for option, value in settings.section(kind).options.items():
            if not option.endswith("url") or not isinstance(value, str):
                continue
            if points_at(value, settings.host, settings.port):
                variable = f"ANTIPHON_{kind.value.upper()}__{option.upper()}"
                raise SettingsError(
                    f"{kind.value}.{option} points at this very server, which would call itself: set {variable} "
                    "to the address of the model server (OPENAI_BASE_URL counts where it is not set)"
                )
