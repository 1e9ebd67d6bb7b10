"""``antiphon config``: the settings in force, and all that there are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from antiphon.cli.flags import nested, settings_flags
from antiphon.server.settings import load_settings
from antiphon.server.settings_show import reference, settings_as_toml

__all__ = ["config"]


@click.group()
def config() -> None:
    """Show the settings."""


@config.command()
@settings_flags
def show(config: Path | None, engines: Sequence[str], pairs: Sequence[str], **given: Any) -> None:
    """Print the settings in force as TOML; keys, tokens and passwords are masked."""
    click.echo(settings_as_toml(load_settings(nested(engines, pairs, given), config=config)), nl=False)


@config.command("reference")
def print_reference() -> None:
    """Print the table of all settings."""
    click.echo(reference(), nl=False)
