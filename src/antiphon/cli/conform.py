"""``antiphon conform``: does the server at an address speak the Realtime API?"""

import asyncio
import fnmatch
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from antiphon.conform.check import Check
from antiphon.conform.checks import all_checks
from antiphon.conform.probe import bundled_speech, read_speech
from antiphon.conform.report import as_json, as_text, is_conforming
from antiphon.conform.run import Result, UnreachableError, run_checks
from antiphon.conform.target import Target, TargetError

__all__ = ["conform"]

_UNREACHABLE = 2
_SCRIPTED = "scripted"


@click.command()
@click.option("--url", help="The server: ws://host:port/v1/realtime, wss://..., or only ws://host:port.")
@click.option("--key", envvar="OPENAI_API_KEY", help="API key; else OPENAI_API_KEY. Sent to that address only.")
@click.option("--model", default="gpt-realtime", show_default=True, help="Model to ask for.")
@click.option("--scripted", is_flag=True, help="The server runs scripted engines (so does --model scripted).")
@click.option("--only", "patterns", multiple=True, metavar="ID", help="Only checks of this id or pattern: 'items.*'.")
@click.option("--list", "lists", is_flag=True, help="List the checks and stop.")
@click.option("--json", "as_data", is_flag=True, help="Print JSON.")
@click.option("--verbose", "-v", is_flag=True, help="Also show what passed and what was skipped.")
@click.option("--strict", is_flag=True, help="Count recommendations as rules.")
@click.option(
    "--timeout", type=click.FloatRange(0.1), default=20.0, show_default=True, help="Seconds to wait for an event."
)
@click.option("--jobs", type=click.IntRange(1, 64), default=4, show_default=True, help="Checks at a time.")
@click.option(
    "--speech",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A spoken sentence to use: 16-bit mono wav.",
)
@click.option("--insecure", is_flag=True, help="Accept any TLS certificate.")
def conform(
    url: str | None,
    key: str | None,
    model: str,
    scripted: bool,
    patterns: Sequence[str],
    lists: bool,
    as_data: bool,
    verbose: bool,
    strict: bool,
    timeout: float,
    jobs: int,
    speech: Path | None,
    insecure: bool,
) -> int:
    """Check a Realtime server from outside.

    Ends with 0 if it follows every rule, 1 if it breaks one, 2 if it cannot be reached.
    """
    checks = _selected(patterns)
    if lists:
        click.echo("\n".join(f"{check.id:50} {check.title}" for check in checks))
        return 0
    if url is None:
        raise click.UsageError("Missing option '--url'.")
    scripted = scripted or model == _SCRIPTED
    try:
        target = Target.of(url, model=model, key=key or "", scripted=scripted, timeout_s=timeout, insecure=insecure)
        pcm = read_speech(speech.read_bytes()) if speech is not None else bundled_speech()
    except (TargetError, ValueError) as error:
        raise click.UsageError(str(error)) from error
    if sys.stderr.isatty():
        click.echo(
            f"{len(checks)} checks of {target.url}: seconds with scripted engines, minutes with models", err=True
        )
    began_s = time.monotonic()
    try:
        results: list[Result] = asyncio.run(run_checks(target, checks, speech=pcm, jobs=jobs))
    except UnreachableError as error:
        click.echo(f"antiphon conform: {target.hidden(str(error))}", err=True)
        return _UNREACHABLE
    seconds = time.monotonic() - began_s
    if as_data:
        click.echo(as_json(results, target, seconds, strict=strict))
    else:
        click.echo(as_text(results, target, seconds, strict=strict, verbose=verbose))
    return 0 if is_conforming(results, strict=strict) else 1


def _selected(patterns: Sequence[str]) -> list[Check]:
    checks = all_checks()
    for pattern in patterns:
        if not fnmatch.filter([check.id for check in checks], pattern):
            raise click.UsageError(f"no check is named {pattern!r}; --list shows them all")
    return [
        check for check in checks if not patterns or any(fnmatch.fnmatchcase(check.id, pattern) for pattern in patterns)
    ]
