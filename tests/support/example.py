"""The session endpoint as a process of its own: the example application, and the command."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

__all__ = ["running_command", "running_example"]

EXAMPLE = Path(__file__).parents[2] / "examples" / "session_endpoint.py"
_STOP_S = 20.0


def running_example(upstream: str) -> AbstractContextManager[str]:
    """Its address, while it runs against the Realtime server at ``upstream``."""
    environment = {"OPENAI_BASE_URL": upstream, "OPENAI_API_KEY": "", "PORT": "0"}
    return _running([sys.executable, str(EXAMPLE)], environment)


def running_command(arguments: Sequence[str]) -> AbstractContextManager[str]:
    """The address at which ``antiphon broker`` listens, while it runs."""
    return _running([sys.executable, "-m", "antiphon.cli.main", "broker", "--port", "0", *arguments], {})


@contextmanager
def _running(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[str]:
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
    )
    assert process.stdout is not None
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                yield found[0]
                break
        else:
            raise AssertionError("it did not start:\n" + "".join(lines))
    finally:
        process.terminate()
        process.communicate(timeout=_STOP_S)
