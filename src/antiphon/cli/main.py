"""The ``antiphon`` command. Errors are one line that says how to mend them; the exit status says whose they are.

0: done; 1: it failed; 2: the settings or the command line are wrong, and nothing was started; 130: interrupted.
"""

import importlib
import sys
from collections.abc import Sequence

import click

from antiphon import __version__

__all__ = ["cli", "main"]

_COMMANDS = {
    "serve": "antiphon.cli.serve:serve",
    "broker": "antiphon.cli.broker:broker",
    "doctor": "antiphon.cli.doctor:doctor",
    "config": "antiphon.cli.config:config",
    "models": "antiphon.cli.models:models",
    "conform": "antiphon.cli.conform:conform",
    "replay": "antiphon.cli.replay:replay",
}
_WRONG_SETTINGS = 2
_INTERRUPTED = 130


class _LazyGroup(click.Group):
    """Imports a command when it is asked for: ``antiphon --version`` loads no server."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = _COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="antiphon %(version)s")
def cli() -> None:
    """A self-hosted, drop-in implementation of the OpenAI Realtime API."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    try:
        status = cli.main(args=arguments, prog_name="antiphon", standalone_mode=False)
    except click.UsageError as error:
        if isinstance(error, click.exceptions.NoArgsIsHelpError):
            error.show()
            return error.exit_code
        command = error.ctx.command_path if error.ctx is not None else "antiphon"
        return _complain(f"{command}: {error.format_message()} (see {command} --help)", error.exit_code)
    except click.ClickException as error:
        return _complain(f"antiphon: {error.format_message()}", error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return _complain("antiphon: interrupted", _INTERRUPTED)
    except Exception as error:
        # Imported late, as the commands are: whoever raised it has loaded it already.
        from antiphon.server.settings import SettingsError

        if not isinstance(error, SettingsError):
            raise
        return _complain(f"antiphon: {error}", _WRONG_SETTINGS)
    return status if isinstance(status, int) else 0


def _complain(line: str, status: int) -> int:
    click.echo(" ".join(line.split()), err=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
