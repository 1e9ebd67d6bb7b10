"""``antiphon config``: the settings in force, and all that there are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from antiphon.cli.flags import is_scripted, nested, settings_flags
from antiphon.server.engines import plan_engines
from antiphon.server.settings import SettingsError, load_settings
from antiphon.server.settings_show import reference, settings_as_toml

__all__ = ["config"]


@click.group()
def config() -> None:
    """Show the settings."""


@config.command()
@settings_flags
def show(config: Path | None, engines: Sequence[str], pairs: Sequence[str], **given: Any) -> None:
    """Print the settings in force as TOML; keys, tokens and passwords are masked.

    Beside an engine that is chosen by itself stands which one that is on this machine.
    """
    settings = load_settings(nested(engines, pairs, given), config=config)
    try:
        plan = plan_engines(settings, scripted=is_scripted(engines))
    except SettingsError as trouble:
        click.echo(f"antiphon: {trouble}", err=True)
        click.echo(settings_as_toml(settings), nl=False)
        return
    chosen = {kind: choice.name for kind, choice in plan.choices.items()}
    click.echo(settings_as_toml(settings, None if plan.is_scripted else chosen), nl=False)


@config.command("reference")
def print_reference() -> None:
    """Print the table of all settings."""
    click.echo(reference(), nl=False)
