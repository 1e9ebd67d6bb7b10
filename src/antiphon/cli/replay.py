"""``antiphon replay``: play a recorded session back, and compare what comes out with what came out then."""

import json
import traceback
from collections.abc import Iterator
from pathlib import Path

import click

from antiphon.core.outputs import Emit
from antiphon.protocol.codec import encode_server_event
from antiphon.runtime.recorder import LogError, Replay, Replayed

__all__ = ["replay"]

_SHOWN = 10
"""Differences that are printed; once the core has gone another way, most of the rest differs too."""


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--events", is_flag=True, help="Print every event that comes out, with its time.")
def replay(file: Path, events: bool) -> None:
    """Play a recorded session back, and compare.

    FILE is what the setting record_dir made. Prints the differences, or "identical". Exit status: 0 identical, 1
    different or not readable.
    """
    try:
        log = Replay(file)
        calls, different, until = 0, 0, 0.0
        for step in _played(log, events):
            calls, until = calls + 1, step.now
            if step.error is not None or step.outcome != step.recorded:
                different += 1
                if different <= _SHOWN:
                    click.echo(_described(step))
    except LogError as trouble:
        raise click.ClickException(str(trouble)) from trouble
    compared = "all" if log.with_audio else "all but the bytes of audio, which the recording does not hold,"
    length = f"{calls} calls of the core, {until:.1f} s of a session"
    if different:
        raise click.ClickException(f"{different} of {length} come out differently; {compared} was compared")
    click.echo(f"identical: {length}; {compared} was compared")


def _played(log: Replay, events: bool) -> Iterator[Replayed]:
    for step in log:
        if events:
            for output in step.outputs:
                if isinstance(output, Emit):
                    click.echo(f"{step.now:.3f} {_text(encode_server_event(output.event))}")
        yield step


def _text(event: bytes) -> str:
    """On one line, audio by its length."""
    plain = json.loads(event)
    if plain["type"] == "response.output_audio.delta":
        plain["delta"] = f"({len(plain['delta'])} characters of audio)"
    return json.dumps(plain, ensure_ascii=False)


def _described(step: Replayed) -> str:
    kind = "tick" if step.input is None else type(step.input).__name__
    lines = [f"line {step.line}, at {step.now:.3f} s, {kind}:"]
    if step.error is not None:
        lines += [line.rstrip() for line in traceback.format_exception_only(step.error)]
    lines.append(f"  then: {_names(step.recorded.names, step.recorded.digest)}")
    if step.error is None:
        lines.append(f"  now:  {_names(step.outcome.names, step.outcome.digest)}")
    return "\n".join(lines)


def _names(names: list[str], digest: str) -> str:
    if digest == "raised":
        return "it failed"
    return f"{', '.join(names)} ({digest})" if names else "nothing"
