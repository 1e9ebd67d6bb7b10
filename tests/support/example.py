"""The example application of the session endpoint, as a process of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["running_example"]

EXAMPLE = Path(__file__).parents[2] / "examples" / "session_endpoint.py"
_STOP_S = 20.0


@contextmanager
def running_example(upstream: str) -> Iterator[str]:
    """Its address, while it runs against the Realtime server at ``upstream``."""
    environment = {**os.environ, "OPENAI_BASE_URL": upstream, "OPENAI_API_KEY": "", "PORT": "0"}
    process = subprocess.Popen(
        [sys.executable, str(EXAMPLE)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
    )
    assert process.stderr is not None
    lines = []
    try:
        for line in process.stderr:
            lines.append(line)
            if found := re.search(r"running on (http://127\.0\.0\.1:\d+)", line):
                yield found[1]
                break
        else:
            raise AssertionError("the example did not start:\n" + "".join(lines))
    finally:
        process.terminate()
        process.communicate(timeout=_STOP_S)
