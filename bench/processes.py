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

__all__ = ["Usage", "free_port", "instant_backend", "instant_server", "usage", "wait_for_port"]


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
    with instant_backend() as base_url:
        flags = ["--engine", "turn_judge=none"]
        for stage in ("stt", "llm", "tts"):
            flags += ["--engine", f"{stage}=openai"]
            flags += ["--set", f"{stage}.base_url={base_url}", "--set", f"{stage}.model=instant"]
        with running_server([*flags, *arguments]) as server:
            yield server


@contextmanager
def instant_backend() -> Iterator[str]:
    """Its base URL."""
    port = free_port()
    backend = subprocess.Popen([sys.executable, "-m", "bench.backend", str(port)], stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, 30)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        backend.terminate()
        backend.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int, seconds: float) -> None:
    """Raises ``RuntimeError`` where nobody listens there by then."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"nobody listens on port {port}")
