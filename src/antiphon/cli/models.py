"""``antiphon models``: the weights of the embedded engines."""

from collections.abc import Sequence

import click

from antiphon import weights
from antiphon.cli import fetch_progress
from antiphon.server.engines import plan_engines
from antiphon.server.settings import Settings

__all__ = ["models"]


@click.group()
def models() -> None:
    """List, fetch and find the weights of the embedded engines."""


@models.command("list")
@click.option("--verify", is_flag=True, help="Read every byte again and compare it with the manifest.")
def list_models(verify: bool) -> None:
    """Show each model: size, licence, state and place."""
    rows = [("NAME", "SIZE", "LICENCE", "STATE", "WHERE", "PURPOSE")]
    damaged = False
    for model in weights.MODELS:
        status = weights.status(model.name, rehash=verify)
        damaged = damaged or status.state is weights.State.DAMAGED
        where = str(status.directory or "-")
        rows.append((model.name, f"{model.bytes / 1e6:.1f} MB", model.licence, status.state, where, model.purpose))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    if damaged:
        raise click.ClickException("some weights are damaged; fetch them again with: antiphon models fetch NAME")


@models.command("fetch")
@click.argument("names", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every model of the manifest.")
def fetch_models(names: Sequence[str], everything: bool) -> None:
    """Bring models into the cache; without NAMES, those that the default engines need."""
    if names and everything:
        raise click.UsageError("give NAMES or --all, not both")
    try:
        wanted = [model.name for model in weights.MODELS] if everything else names or plan_engines(Settings()).weights
        places = weights.fetch(wanted, progress=fetch_progress.for_stderr())
    except weights.WeightsError as trouble:
        raise click.ClickException(str(trouble)) from trouble
    for name, place in places.items():
        click.echo(f"{name}\t{place}")


@models.command("path")
@click.argument("name")
def print_path(name: str) -> None:
    """Print the directory that holds the files of a model."""
    try:
        click.echo(weights.directory(name))
    except weights.WeightsError as trouble:
        raise click.ClickException(str(trouble)) from trouble
