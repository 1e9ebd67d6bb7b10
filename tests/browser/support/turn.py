"""Debian's coturn on the loopback interface."""

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

__all__ = ["PROGRAM", "turn_server"]

PROGRAM: Final = "/usr/bin/turnserver"
_START_S: Final = 10.0
_HOST: Final = "127.0.0.1"


@asynccontextmanager
async def turn_server(folder: Path) -> AsyncIterator[dict[str, Any]]:
    """A relay, and the ``RTCConfiguration`` that allows no other way."""
    port = _free_port()
    command = [PROGRAM, "-n", "--no-cli", "--no-tls", "--no-dtls", "--no-multicast-peers", "--allow-loopback-peers"]
    command += [f"--listening-ip={_HOST}", f"--relay-ip={_HOST}", f"--listening-port={port}", "--realm=tests"]
    command += ["--lt-cred-mech", "--user=caller:secret", f"--userdb={folder}/turn.sqlite", f"--pidfile={folder}/pid"]
    with (folder / "turn.log").open("w") as log:
        process = await asyncio.create_subprocess_exec(*command, "--log-file=stdout", stdout=log, stderr=log)
    try:
        await _listening(port)
        server = {"urls": f"turn:{_HOST}:{port}?transport=udp", "username": "caller", "credential": "secret"}
        yield {"iceServers": [server], "iceTransportPolicy": "relay"}
    finally:
        process.terminate()
        await process.wait()


async def _listening(port: int) -> None:
    end = time.monotonic() + _START_S
    while True:
        try:
            _, writer = await asyncio.open_connection(_HOST, port)
        except OSError:
            assert time.monotonic() < end, "the TURN server does not listen"
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


def _free_port() -> int:
    """One below those that systems and TURN servers give away by themselves."""
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp, suppress(OSError):
            udp.bind((_HOST, port))
            tcp.bind((_HOST, port))
            return port
