"""The page about events says what is so: every event and error code, and the limits as they are set."""

import re
from pathlib import Path
from typing import get_args

from antiphon.core.limits import Limits
from antiphon.protocol.client_events import ClientEvent
from antiphon.server.observe import ERROR_CODES
from antiphon.server.settings import Settings, known_names

_PAGE = (Path(__file__).parent.parent.parent / "docs" / "reference" / "events.md").read_text()


def _rows(heading: str) -> list[list[str]]:
    """The cells of the first table under a heading."""
    _, _, section = _PAGE.partition(f"\n## {heading}\n")
    lines = section.splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[first + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_every_client_event_is_on_the_page() -> None:
    told = [cells[0].strip("`") for cells in _rows("Client events")]
    assert sorted(told) == sorted(str(kind.__struct_config__.tag) for kind in get_args(ClientEvent))


def test_every_error_code_is_on_the_page() -> None:
    told = [code for cells in _rows("Errors") for code in re.findall(r"`([a-z_]+)`", cells[0])]
    # A context that overflows fails a response: it is in the table of responses.
    assert sorted([*told, "context_length_exceeded"]) == sorted(ERROR_CODES)


def test_limits_that_are_settings_have_their_names_and_defaults() -> None:
    settings = dict(known_names())
    told = {cells[3].strip("`"): cells[1] for cells in _rows("Limits") if cells[3]}
    assert set(told) <= set(settings)
    assert {name for name in settings if name.startswith("limits.")} <= set(told)
    for name, text in told.items():
        assert _amounts(settings[name].default) & set(re.findall(r"[\d,]+(?: [A-Za-z]+)?", text)), name


def _amounts(default: float) -> set[str]:
    """How a default may be written."""
    whole = int(default)
    amounts = {f"{whole:,}", f"{whole:,} s", f"{whole // 60} minutes", f"{whole:,} on"}
    return amounts | {f"{whole // 2**10} KiB", f"{whole // 2**20} MiB"} - {"0 KiB", "0 MiB", "0 minutes"}


def test_what_an_item_and_a_session_may_hold_is_told_in_bytes() -> None:
    assert f"{Limits().room_bytes:,} bytes" in _PAGE
    assert f"below {Limits().frame_bytes:,} bytes" in _PAGE
    assert Settings.model_fields["outbox_bytes"].default == 8 * 2**20
