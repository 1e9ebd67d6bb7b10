"""A server process of one's own, for tests from outside."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

__all__ = ["ServerProcess", "running_server"]

_START_S = 120.0
_STOP_S = 20.0


@dataclass
class ServerProcess:
    process: "subprocess.Popen[str]"
    lines: list[str] = field(default_factory=list)
    """Everything it printed so far."""

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def base_url(self) -> str:
        """``http://127.0.0.1:PORT/v1``, as the banner says."""
        (url,) = re.findall(r"^  HTTP +(\S+)", "\n".join(self.lines), re.MULTILINE)
        return str(url)

    @property
    def websocket_url(self) -> str:
        return self.base_url.replace("http", "ws", 1) + "/realtime"


@contextmanager
def running_server(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    command: Sequence[str] = (sys.executable, "-m", "antiphon.cli.main", "serve"),
) -> Iterator[ServerProcess]:
    """``antiphon serve`` on a free port of the loopback interface, ready; stopped by SIGTERM at the end."""
    flags = ["--port", "0", *arguments]
    line = [*command, "ARGS=" + " ".join(flags)] if command[0] == "make" else [*command, *flags]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANTIPHON_LLM", "OPENAI_"))}
    process = subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**kept, **(environment or {})}
    )
    server = ServerProcess(process)
    ready = threading.Event()
    reader = threading.Thread(target=_read, args=(server, ready), daemon=True)
    reader.start()
    try:
        ready.wait(_START_S)
        if not any(line.startswith("Ready") for line in server.lines):
            raise AssertionError("the server did not start:\n" + "\n".join(server.lines))
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        reader.join()
        assert process.stdout is not None
        process.stdout.close()


def _read(server: ServerProcess, ready: threading.Event) -> None:
    assert server.process.stdout is not None
    for line in server.process.stdout:
        server.lines.append(line.rstrip("\n"))
        if line.startswith("Ready"):
            ready.set()
    ready.set()
