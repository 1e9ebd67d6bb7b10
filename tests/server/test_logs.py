import json
import logging
import sys
from typing import Any

import pytest

from antiphon.server.logs import StructuredFormatter, escaped, log_line


def _record(event: str, **fields: Any) -> logging.LogRecord:
    logger = logging.getLogger("test.logs")
    logger.setLevel(logging.INFO)
    records: list[logging.LogRecord] = []
    keep = _Keep(records)
    logger.addHandler(keep)
    log_line(logger, event, **fields)
    logger.removeHandler(keep)
    return records[0]


class _Keep(logging.Handler):
    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__()
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("two\nlines\r\x1b[31m", "two\\nlines\\r\\x1b[31m"),
        ("caf\u00e9 \U0001f600", "caf\\xe9 \\U0001f600"),
        ("\ud800", "\\ud800"),
        ("a" * 128, "a" * 128),
        ("a" * 129, "a" * 125 + "..."),
        ("\u00e9" * 100, ("\\xe9" * 32)[:125] + "..."),
    ],
)
def test_client_text_is_escaped_and_cut_to_128(text: str, shown: str) -> None:
    assert escaped(text) == shown


def test_a_text_line_holds_the_fields_in_order_and_stays_one_line() -> None:
    line = StructuredFormatter("text").format(
        _record("turn", session="sess_1", took_ms=12.34, left=None, said='a "b\n')
    )
    assert line.split(" ", 1)[1] == 'info    turn session=sess_1 took_ms=12.3 said="a \\"b\\\\n"'
    assert "\n" not in line


def test_a_json_line_is_one_object() -> None:
    line = StructuredFormatter("json").format(_record("turn", session="sess_1", took_ms=12.3))
    read = json.loads(line)
    assert (read["event"], read["session"], read["took_ms"], read["level"]) == ("turn", "sess_1", 12.3, "info")


def test_text_in_a_traceback_cannot_pose_as_a_line() -> None:
    try:
        raise ValueError("harmless\n2026-01-01T00:00:00.000Z info    forged \x1b[31m\x9b0m")
    except ValueError:
        record = logging.getLogger("test.logs").makeRecord("test", logging.ERROR, "", 0, "crash", (), None)
        record.exc_info = sys.exc_info()
    first, *others = StructuredFormatter("text").format(record).splitlines()
    assert "crash" in first
    assert all(line.startswith("    | ") for line in others)
    assert all(line.isascii() and line.isprintable() for line in others)


def test_a_message_with_control_characters_stays_one_printable_line() -> None:
    record = logging.getLogger("test.logs").makeRecord("test", logging.ERROR, "", 0, "a\n\x1b[31mé %s", ("\x9b",), None)
    line = StructuredFormatter("text").format(record)
    assert line.endswith("a\\n\\x1b[31m\\xe9 \\x9b")
