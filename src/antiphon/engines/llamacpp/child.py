"""The child process: loads the model and serves it on a Unix socket until its parent is gone.

Started as ``python -m antiphon.engines.llamacpp.child``. Its settings are the first line of its standard input (so the
key stands neither in its arguments nor in its environment); the end of the input ends it. On standard output it writes
one line once the model is loaded.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import sys
from typing import Any, NoReturn

import msgspec

__all__ = ["ChildSettings", "Ready", "main"]

_PR_SET_PDEATHSIG = 1
_LOG_ERRORS_ONLY = 1  # what is more talkative prints prompts
_HTTP_THREADS = 4


class ChildSettings(msgspec.Struct, frozen=True, kw_only=True):
    parent_pid: int
    model: str
    """Path of the GGUF file."""
    socket: str
    """Path of the socket; ends in ``.sock``, which tells the server what it is."""
    key: str
    prefix_directory: str
    """Where read system prompts are kept; empty: nowhere."""
    slots: int
    context_tokens: int
    """Of one slot."""
    threads: int
    batch_tokens: int
    cache_mib: int
    nice: int


class Ready(msgspec.Struct, frozen=True):
    """The line on standard output."""

    pid: int


def main() -> None:
    settings = msgspec.json.decode(sys.stdin.buffer.readline(), type=ChildSettings)
    signal.signal(signal.SIGTERM, lambda *_: _leave(settings))
    _die_with(settings)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    with contextlib.suppress(OSError):
        os.nice(settings.nice)
    os.umask(0o077)
    answer = os.dup(1)
    os.dup2(2, 1)  # what the library prints is a log
    server = _serve(settings)
    os.write(answer, msgspec.json.encode(Ready(os.getpid())) + b"\n")
    sys.stdin.buffer.read()
    _leave(settings, server)


def _leave(settings: ChildSettings, server: Any = None) -> NoReturn:
    """End at once, without the library's own clean-up, which may wait for a batch; ``server`` is kept until then."""
    shutil.rmtree(os.path.dirname(settings.socket), ignore_errors=True)  # the parent may not be there to do it
    os._exit(0)


def _die_with(settings: ChildSettings) -> None:
    """Be told when the parent ends, however it ends. (Its end also ends the standard input, on every system.)"""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != settings.parent_pid:
        _leave(settings)


def _serve(settings: ChildSettings) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = settings.model
    params.n_parallel = settings.slots
    params.n_ctx = settings.slots * settings.context_tokens
    params.n_batch = params.n_ubatch = max(settings.batch_tokens, settings.slots)
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings.threads
    params.fit_params = False
    # What a slot loses to another session is kept, up to this size, and put back when its session returns.
    params.cache_ram_mib = settings.cache_mib
    params.cache_idle_slots = False
    params.hostnames = [settings.socket]
    params.api_keys = [settings.key]
    params.n_threads_http = _HTTP_THREADS
    params.ui = False
    params.endpoint_slots = True  # to save and restore what was read; the key guards it
    if settings.prefix_directory:
        params.slot_save_path = settings.prefix_directory + os.sep
    params.verbosity = _LOG_ERRORS_ONLY
    return xllamacpp.Server(params)


if __name__ == "__main__":
    main()
