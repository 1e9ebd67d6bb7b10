"""Recording what a session's core is told, and playing it back: the same calls give the same outputs.

A log holds everything that was said and typed in its session; audio only where it was asked for.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from antiphon.core.config import SessionConfig
from antiphon.core.effects import IdFactory
from antiphon.core.inputs import Input
from antiphon.core.limits import Limits
from antiphon.core.outputs import Output
from antiphon.core.session import Session
from antiphon.runtime.session_log import (
    Call,
    Header,
    LogError,
    Outcome,
    encode_call,
    encode_header,
    outcome_of,
    read_log,
)

__all__ = ["LogError", "RecordedSession", "Recorder", "Replay", "Replayed", "open_recorder"]

_log = logging.getLogger(__name__)
_FLUSH_S = 1.0
_PENDING_BYTES = 16 * 1024 * 1024
"""More than this waits only for a disk that has failed: the log ends there."""


class Recorder:
    """Writes one session's log, once a second, off the event loop."""

    def __init__(self, path: Path, *, with_audio: bool = False) -> None:
        """Create ``path``, readable by its owner only. Raises ``OSError``, also where it exists."""
        self._with_audio = with_audio
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=0)
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._ids: list[str] = []
        self._ended = False

    def recorded(self, new_id: IdFactory) -> IdFactory:
        """``new_id``, with the ids that it makes noted."""

        def noted(prefix: str) -> str:
            made = new_id(prefix)
            self._ids.append(made)
            return made

        return noted

    def begin(self, config: SessionConfig, limits: Limits) -> None:
        self._put(encode_header(Header(config, limits, self._taken_ids(), self._with_audio)))

    def call(self, now: float, input: Input | None, perform: Callable[[], list[Output]]) -> list[Output]:
        """Perform a call of the core; one that raises is recorded too."""
        outputs: list[Output] | None = None
        try:
            outputs = perform()
            return outputs
        finally:
            outcome = outcome_of(outputs, with_audio=self._with_audio)
            self._put(encode_call(Call(now, input, self._taken_ids(), outcome), with_audio=self._with_audio))

    async def run(self) -> None:
        """Write from time to time."""
        while not self._ended:
            await asyncio.sleep(_FLUSH_S)
            writing = asyncio.get_running_loop().run_in_executor(None, self._write, self._taken())
            try:
                await asyncio.shield(writing)
            except OSError as error:
                self._stop(error.strerror or "unknown error")
            except asyncio.CancelledError:
                await asyncio.wait([writing])  # the file is about to be closed
                raise

    def close(self) -> None:
        """Write the rest; nothing may be recorded afterwards."""
        try:
            if not self._ended:
                self._write(self._taken())
        except OSError as error:
            self._stop(error.strerror or "unknown error")
        self._file.close()

    def _write(self, content: bytes) -> None:
        view = memoryview(content)
        while view:
            view = view[self._file.write(view) :]

    def _put(self, line: bytes) -> None:
        if self._ended:
            return
        if self._pending_bytes > _PENDING_BYTES:
            self._stop("the disk is too slow")
            return
        self._pending += (line, b"\n")
        self._pending_bytes += len(line) + 1

    def _stop(self, reason: str) -> None:
        _log.warning("the recording of a session ends early: %s", reason)
        self._ended = True
        self._taken()

    def _taken(self) -> bytes:
        content, self._pending, self._pending_bytes = b"".join(self._pending), [], 0
        return content

    def _taken_ids(self) -> list[str]:
        ids, self._ids = self._ids, []
        return ids


def open_recorder(directory: str | None, session_id: str, *, with_audio: bool) -> Recorder | None:
    """The recorder of a new session, if sessions are recorded. A session is not refused for want of its log."""
    if directory is None:
        return None
    try:
        return Recorder(Path(directory) / f"{session_id}.jsonl", with_audio=with_audio)
    except OSError as error:
        _log.warning("a session is not recorded: %s", error.strerror)
        return None


class RecordedSession(Session):
    """A core whose calls are recorded."""

    def __init__(self, config: SessionConfig, *, new_id: IdFactory, limits: Limits, recorder: Recorder) -> None:
        self._recorder = recorder
        super().__init__(config, new_id=recorder.recorded(new_id), limits=limits)
        recorder.begin(config, limits)

    def handle(self, input: Input, now: float) -> list[Output]:
        handle = super().handle
        return self._recorder.call(now, input, lambda: handle(input, now))

    def tick(self, now: float) -> list[Output]:
        tick = super().tick
        return self._recorder.call(now, None, lambda: tick(now))


# --- playing back --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Replayed:
    """One call of the core, and what came of it."""

    line: int
    """Of the log."""
    now: float
    input: Input | None
    """None: ``tick``."""
    outputs: list[Output]
    outcome: Outcome
    """The same in short."""
    recorded: Outcome
    """What came of it when it was recorded."""
    error: Exception | None = None
    """What the core raised."""


class Replay:
    """A log, and the calls as a new core answers them. Iterating raises ``LogError`` where the log does not fit."""

    def __init__(self, path: Path) -> None:
        """Raises ``LogError``."""
        self._header, self._calls = read_log(path)

    @property
    def with_audio(self) -> bool:
        """Whether the log holds the audio too; if not, silence of the same length takes its place."""
        return self._header.with_audio

    def __iter__(self) -> Iterator[Replayed]:
        ids = _Ids(self._header.ids)
        session = Session(self._header.config, new_id=ids, limits=self._header.limits)
        for line, call in enumerate(self._calls, 2):
            ids.refill(call.ids)
            yield self._answer(session, line, call)

    def _answer(self, session: Session, line: int, call: Call) -> Replayed:
        outputs: list[Output] | None = None
        error: Exception | None = None
        try:
            outputs = session.tick(call.now) if call.input is None else session.handle(call.input, call.now)
        except LogError:
            raise
        except Exception as bug:
            error = bug
        outcome = outcome_of(outputs, with_audio=self.with_audio)
        return Replayed(line, call.now, call.input, outputs or [], outcome, call.outcome, error)


class _Ids:
    """Gives the recorded ids again."""

    def __init__(self, ids: list[str]) -> None:
        self._left = iter(ids)

    def refill(self, ids: list[str]) -> None:
        self._left = iter(ids)

    def __call__(self, prefix: str) -> str:
        made = next(self._left, None)
        if made is None or not made.startswith(f"{prefix}_"):
            raise LogError(
                f"The core asks for an id of a {prefix} where the recording has {made}: the core has changed."
            )
        return made
