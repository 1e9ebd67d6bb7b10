"""``antiphon serve``: settings, weights, engines, then the server until a signal comes."""

import asyncio
import gc
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from antiphon.cli import fetch_progress
from antiphon.cli.banner import banner
from antiphon.cli.flags import is_scripted, nested, settings_flags
from antiphon.server.certificates import certificate_of, tls_context
from antiphon.server.engines import build_engines, describe, fetch_weights, plan_engines
from antiphon.server.listen import bind, port_of
from antiphon.server.logs import configure_logging
from antiphon.server.rtc_values import check_calls, extra_is_installed, unreachable_outside
from antiphon.server.serving import serve as serve_until_signal
from antiphon.server.settings import Settings, SettingsError, load_settings

__all__ = ["serve"]


@click.command()
@settings_flags
def serve(config: Path | None, engines: Sequence[str], pairs: Sequence[str], **given: Any) -> int:
    """Serve the Realtime API. Fetches the weights that are missing first."""
    settings = load_settings(nested(engines, pairs, given), config=config)
    configure_logging(settings.log_format, settings.log_level)
    plan = plan_engines(settings, scripted=is_scripted(engines))
    certificate = certificate_of(settings)
    tls = tls_context(certificate) if certificate is not None else None
    sockets = bind(settings.host, settings.port)
    calls = _check_calls(settings, sockets)
    fetch_weights(plan, fetch_progress.for_stderr)
    began_s = time.monotonic()
    built = build_engines(plan)
    lines = banner(
        settings,
        port=port_of(sockets),
        authority=certificate.authority if certificate is not None else None,
        engines=describe(built),
        calls=calls,
        notes=[*plan.notes, *filter(None, [unreachable_outside(settings)])],
        is_scripted=plan.is_scripted,
    )
    click.echo("\n".join(lines))

    def say_ready() -> None:
        # What is there now stays. A full collection stops all sessions, for 50 ms if it looks at the engines' modules.
        gc.collect()
        gc.freeze()
        click.echo(f"Ready after {time.monotonic() - began_s:.1f} s. Ctrl-C stops; twice, at once.")

    failure = asyncio.run(serve_until_signal(settings, built, sockets, tls, on_ready=say_ready))
    if failure:
        raise click.ClickException(failure)
    return 0


def _check_calls(settings: Settings, sockets: Sequence[socket.socket]) -> str:
    """Where calls will be taken, "" if they are not. Raises ``SettingsError``."""
    if not settings.rtc or not extra_is_installed():
        return ""
    try:
        return check_calls(settings)
    except SettingsError:
        for bound in sockets:
            bound.close()
        raise
