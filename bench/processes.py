"""Server processes and what they use."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from tests.support.server import ServerProcess, running_server

__all__ = ["Usage", "instant_server", "usage"]


@dataclass(frozen=True)
class Usage:
    """Of a process and its children."""

    cpu_s: float
    pss_mb: float


def usage(pid: int) -> Usage:
    root = psutil.Process(pid)
    tree = [root, *root.children(recursive=True)]
    cpu_s = sum(sum(process.cpu_times()[:2]) for process in tree)
    pss = sum(process.memory_full_info().pss for process in tree)
    return Usage(cpu_s, pss / 1e6)


@contextmanager
def instant_server(*arguments: str) -> Iterator[ServerProcess]:
    """Our server with the real detector of speech; the other engines answer at once over HTTP, as any backend would."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    backend = subprocess.Popen([sys.executable, "-m", "bench.backend", str(port)])
    base_url = f"http://127.0.0.1:{port}/v1"
    flags = ["--engine", "turn_judge=none"]
    for stage in ("stt", "llm", "tts"):
        flags += ["--engine", f"{stage}=openai"]
        flags += ["--set", f"{stage}.base_url={base_url}", "--set", f"{stage}.model=instant"]
    try:
        _wait_for(port)
        with running_server([*flags, *arguments]) as server:
            yield server
    finally:
        backend.terminate()
        backend.wait()


def _wait_for(port: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError("the instant backend did not start")
