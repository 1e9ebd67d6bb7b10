"""The child process as its parent sees it: started, watched, started anew after a crash, ended.

It is driven by callbacks of the event loop, so that a crash is noticed and mended at once without a task of its own.
"""

import asyncio
import logging
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path
from typing import IO, Any

import msgspec

from antiphon.engines.errors import EngineError
from antiphon.engines.llamacpp.child import ChildSettings, Ready
from antiphon.vocabulary.errors import EngineErrorKind

__all__ = ["ChildProcess"]

_log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.0
_LONGEST_PAUSE_S = 30.0
_SOUND_AFTER_S = 60.0
"""A process that lived for so long did not die of its settings."""
_END_WITHIN_S = 2.0
_NOTICED_WITHIN_S = 2.0
_KEPT_LINES = 20
_LONGEST_LINE_BYTES = 4096

_SPIN_COUNT = "1000"
"""Turns that a thread of the library spins before it sleeps. Its default spins on, and where other work takes a core
the spinning threads keep each other from going on: 3 to 6 times slower. Sleeping at once halves the speed in quiet."""


class _State(Enum):
    NEW = auto()
    LOADING = auto()
    READY = auto()
    DOWN = auto()
    """It crashed more than once, and will be started anew after a pause."""
    CLOSED = auto()


class ChildProcess:
    """One child process and its private directory.

    ``settings``: all but what this class adds (the parent, the socket, the key, the prefix directory).
    ``on_lost`` is called when it ended without having been asked to.
    """

    def __init__(self, *, on_lost: Callable[[], None], keeps_prefixes: bool, **settings: Any) -> None:
        self._on_lost = on_lost
        self._directory = _private_directory()
        self._remove = weakref.finalize(self, shutil.rmtree, self._directory, ignore_errors=True)
        self.socket = self._directory / "llm.sock"
        self.key = secrets.token_hex(16)
        self._settings = ChildSettings(
            parent_pid=os.getpid(),
            socket=str(self.socket),
            key=self.key,
            prefix_directory=str(self._directory) if keeps_prefixes else "",
            **settings,
        )
        self._state = _State.NEW
        self._process: subprocess.Popen[bytes] | None = None
        self._outputs: list[_Lines] = []
        self._loaded: asyncio.Event = asyncio.Event()
        self._ended: asyncio.Event = asyncio.Event()
        self._started_at_s = 0.0
        self._pause_s = _FIRST_PAUSE_S
        self._restart: asyncio.TimerHandle | None = None
        self.last_lines: deque[str] = deque(maxlen=_KEPT_LINES)
        """The last lines of its log, for whoever looks for the cause of a crash."""

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def ready(self) -> bool:
        return self._state is _State.READY

    async def start(self, *, within_s: float) -> None:
        """Start it if that was not done yet, and wait until the model is loaded, after a crash too.

        Raises ``EngineError`` (unavailable) if it is down, or is not ready in time.
        """
        if self._state is _State.NEW:
            self._spawn()
        if self._state is _State.LOADING:
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._loaded.wait()
        self.require_ready()

    async def replaced(self, *, within_s: float) -> None:
        """Nobody listens on its socket any more: notice that it ended, and wait for the next one.

        A process that is killed may close its socket some time before its output. Raises as ``start`` does.
        """
        if self._state is _State.READY:
            with suppress(TimeoutError):
                async with asyncio.timeout(_NOTICED_WITHIN_S):
                    await self._ended.wait()
        await self.start(within_s=within_s)

    def require_ready(self) -> None:
        if self._state is not _State.READY:
            raise EngineError(EngineErrorKind.UNAVAILABLE, "the language model is not ready")

    def kill(self) -> None:
        """The last resort; it is started anew."""
        if self._process is not None:
            self._process.kill()

    def remove_file(self, name: str) -> None:
        """Remove a file that it wrote into its directory."""
        (self._directory / name).unlink(missing_ok=True)

    async def aclose(self) -> None:
        """End it and wait for that; kill it if need be. Its directory is removed."""
        self._state = _State.CLOSED
        if self._restart is not None:
            self._restart.cancel()
        process = self._process
        if process is not None and process.stdin is not None:
            process.stdin.close()  # it ends at the end of its input
            for end in (process.terminate, process.kill):
                with suppress(TimeoutError):
                    async with asyncio.timeout(_END_WITHIN_S):
                        await self._ended.wait()
                        break
                end()
            await self._ended.wait()
        self._remove()

    # --- callbacks ------------------------------------------------------------------------------------------------

    def _spawn(self) -> None:
        self._restart = None
        self._state = _State.LOADING
        self._loaded.clear()
        self._ended.clear()
        self.socket.unlink(missing_ok=True)
        loop = asyncio.get_running_loop()
        self._started_at_s = loop.time()
        command = [sys.executable, "-P", "-m", "antiphon.engines.llamacpp.child"]
        environment = {"GOMP_SPINCOUNT": _SPIN_COUNT} | os.environ
        # A session of its own: an interrupt from the keyboard is for the parent alone.
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._outputs = [
            _Lines(loop, process.stdout, self._on_answer, self._on_exit),
            _Lines(loop, process.stderr, self._on_log, None),
        ]
        with suppress(BrokenPipeError):  # it is gone already: the end of its output says so
            process.stdin.write(msgspec.json.encode(self._settings) + b"\n")
            process.stdin.flush()

    def _on_answer(self, line: bytes) -> None:
        with suppress(msgspec.DecodeError):
            msgspec.json.decode(line, type=Ready)
            if self._state is not _State.CLOSED:
                self._state = _State.READY
                self._loaded.set()

    def _on_log(self, line: bytes) -> None:
        self.last_lines.append(line.decode(errors="replace")[:300])

    def _on_exit(self) -> None:
        process = self._process
        assert process is not None
        for output in self._outputs:
            output.close()
        if process.stdin is not None:
            with suppress(BrokenPipeError):
                process.stdin.close()
        status = process.wait()  # its output has ended: it is over, or about to be
        self._process = None
        self._ended.set()
        if self._state is not _State.CLOSED:
            self._crashed(status)

    def _crashed(self, status: int) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() - self._started_at_s > _SOUND_AFTER_S:
            self._pause_s = _FIRST_PAUSE_S
        if self._pause_s > 0:
            self._state = _State.DOWN
            self._loaded.set()  # whoever waits learns that it is down
        else:
            self._state = _State.LOADING  # the next turn waits for the new one instead of failing
            self._loaded.clear()
        _log.warning("the llama.cpp process ended with status %d; started anew in %g s", status, self._pause_s)
        self._restart = loop.call_later(self._pause_s, self._spawn)
        self._pause_s = min(_LONGEST_PAUSE_S, max(1.0, 2 * self._pause_s))
        self._on_lost()


def _private_directory() -> Path:
    """A new directory that only this user can enter, with a path short enough for a socket's name."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return Path(tempfile.mkdtemp(prefix="antiphon-", dir=runtime if os.access(runtime, os.W_OK) else None))


class _Lines:
    """Lines of a pipe, told as they come."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pipe: IO[bytes],
        on_line: Callable[[bytes], None],
        on_end: Callable[[], None] | None,
    ) -> None:
        self._loop = loop
        self._pipe = pipe
        self._on_line = on_line
        self._on_end = on_end
        self._rest = b""
        os.set_blocking(pipe.fileno(), False)
        loop.add_reader(pipe.fileno(), self._read)

    def close(self) -> None:
        if not self._pipe.closed:
            self._loop.remove_reader(self._pipe.fileno())
            self._pipe.close()

    def _read(self) -> None:
        try:
            data = os.read(self._pipe.fileno(), 1 << 16)
        except BlockingIOError:
            return
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[-_LONGEST_LINE_BYTES:]
        for line in lines:
            self._on_line(line)
        if not data:
            self.close()
            if self._on_end is not None:
                self._on_end()
