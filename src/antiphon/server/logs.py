"""Structured log lines: one for each connection and turn. Never audio, keys or transcripts.

Call ``log_line`` with an event name and fields; what a client wrote goes through ``escaped`` first.
"""

import logging
import re
import sys
import time
from typing import Any, Literal

import msgspec

__all__ = ["StructuredFormatter", "configure_logging", "escaped", "log_line"]

_CLIENT_TEXT_MAX = 128
_FIELDS = "antiphon_fields"
_UNPRINTABLE = re.compile(r"[^ -~]")
_QUIET = {"uvicorn": logging.ERROR, "httpx": logging.WARNING, "httpcore": logging.WARNING, "asyncio": logging.WARNING}
"""Loggers that would repeat addresses, queries or each stray request at lower levels."""


def escaped(text: str) -> str:
    """Foreign text fit for a log: printable ASCII, everything else escaped, at most 128 characters."""
    shown = text[:_CLIENT_TEXT_MAX].encode("unicode_escape").decode("ascii")
    return shown if max(len(shown), len(text)) <= _CLIENT_TEXT_MAX else shown[: _CLIENT_TEXT_MAX - 3] + "..."


def log_line(logger: logging.Logger, event: str, /, level: int = logging.INFO, **fields: Any) -> None:
    """One line: the event's name, then its fields in order; None leaves a field out."""
    if logger.isEnabledFor(level):
        present = {name: value for name, value in fields.items() if value is not None}
        logger.log(level, event, extra={_FIELDS: present})


class StructuredFormatter(logging.Formatter):
    """``text``: ``time level event name=value ...``; ``json``: one object a line, traceback included."""

    def __init__(self, form: Literal["text", "json"]) -> None:
        super().__init__()
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = getattr(record, _FIELDS, {})
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        head = {"time": when, "level": record.levelname.lower(), "event": record.getMessage()}
        if self._form == "json":
            line = head | fields | ({"traceback": trace} if trace else {})
            return msgspec.json.encode(line, enc_hook=str).decode()
        named = "".join(f" {name}={_plain(value)}" for name, value in fields.items())
        # Lines of a traceback are indented: text of a client in an exception cannot pose as a line of ours.
        more = "".join(f"\n    | {_printable(line)}" for line in trace.splitlines())
        return f"{head['time']} {head['level']:<7} {_printable(head['event'])}{named}{more}"


def configure_logging(form: Literal["text", "json"], level: str) -> None:
    """Send every log line of the process to standard error."""
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(StructuredFormatter(form))
    root = logging.getLogger()
    root.handlers[:] = [output]
    root.setLevel(level.upper())
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(max(least, root.level))


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.1f}"
    text = _printable(str(value))
    return msgspec.json.encode(text).decode() if not text or " " in text or '"' in text or "=" in text else text


def _printable(text: str) -> str:
    """One line of printable ASCII: an exception may hold a peer's text, and a terminal obeys control characters."""
    return _UNPRINTABLE.sub(lambda found: found.group().encode("unicode_escape").decode("ascii"), text)
