"""Command-line flags that are settings, shared by all commands that read them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from antiphon.engines.registry import EngineKind

__all__ = ["SCRIPTED", "is_scripted", "nested", "settings_flags"]

SCRIPTED = "scripted"
_F = TypeVar("_F", bound=Callable[..., Any])
_OPTIONS = (
    click.option(
        "--config", type=click.Path(path_type=Path), help="Settings file; else ./antiphon.toml, if it is there."
    ),
    click.option("--host", help="Address to listen on [default: 127.0.0.1]."),
    click.option("--port", type=int, help="Port to listen on [default: 8000]."),
    click.option("--tls-cert", help="Certificate chain (PEM)."),
    click.option("--tls-key", help="Private key (PEM)."),
    click.option("--tls-self-signed", is_flag=True, default=None, help="Make and keep a certificate of our own."),
    click.option("--rtc/--no-rtc", default=None, help="Take calls over WebRTC [default: yes]."),
    click.option("--rtc-port", type=int, help="UDP and TCP port of all calls [default: port + 1]."),
    click.option(
        "--public-address",
        "public_addresses",
        multiple=True,
        metavar="ADDRESS",
        help="Address at which callers reach this machine, where it is behind NAT; may be given several times.",
    ),
    click.option("--max-sessions", type=int, help="Sessions at a time [default: 64]."),
    click.option("--strict", is_flag=True, default=None, help="Refuse unknown fields, as the hosted API does."),
    click.option("--log-format", type=click.Choice(["text", "json"]), help="Form of the log lines."),
    click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="Least severe level."),
    click.option(
        "--engine",
        "engines",
        multiple=True,
        metavar="STAGE=NAME",
        help=f"Engine of a stage ({', '.join(EngineKind)}); 'scripted': no models, for tests.",
    ),
    click.option("--set", "pairs", multiple=True, metavar="NAME=VALUE", help="Any setting: --set limits.items=500."),
)


def settings_flags(command: _F) -> _F:
    """Give a command all flags that are settings; ``nested`` reads them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def is_scripted(engines: Sequence[str]) -> bool:
    return SCRIPTED in engines


def nested(engines: Sequence[str], pairs: Sequence[str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Flags as the settings file would hold them; those that were not given are left out."""
    flags = {name: value for name, value in given.items() if value is not None and value != ()}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise click.UsageError(f"--set takes NAME=VALUE, not {pair!r}")
        _put(flags, name, value)
    for choice in engines:
        if choice == SCRIPTED:
            continue
        stage, separator, name = choice.partition("=")
        if not separator or stage not in tuple(EngineKind):
            stages = ", ".join(EngineKind)
            raise click.UsageError(f"--engine takes STAGE=NAME with one of the stages {stages}, not {choice!r}")
        _put(flags, f"{stage}.engine", name)
    return flags


def _put(flags: dict[str, Any], name: str, value: str) -> None:
    *sections, last = name.split(".")
    for section in sections:
        inner = flags.setdefault(section, {})
        if not isinstance(inner, dict):
            raise click.UsageError(f"--set {name}: {section} is no section")
        flags = inner
    flags[last] = value
