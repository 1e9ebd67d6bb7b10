"""The page about what of the API is there is what the code says, and every server event is emitted by some scenario."""

import re
import tomllib
from pathlib import Path
from typing import Final, get_args

from antiphon.protocol.server_events import ServerEvent
from scripts.api_coverage import MISSING, emitted_types, page, wrong_remarks
from tests.support.script import SCENARIOS, scenarios

_PAGE: Final = Path(__file__).parent.parent.parent / "docs" / "reference" / "coverage.md"


def test_the_page_is_made_from_the_code() -> None:
    assert _PAGE.read_text("utf-8") == page(), f"run: python scripts/api_coverage.py > {_PAGE.relative_to(Path.cwd())}"


def test_what_is_said_beside_the_code_fits_it() -> None:
    assert not wrong_remarks()


# --- every event is emitted ----------------------------------------------------------------------------------------

_EXPECTED: Final = re.compile(r"^\s*<\d? ([\w.]+)", re.MULTILINE)
_BLOCK: Final = re.compile(r"^\s*<< (.+?)\s*$", re.MULTILINE)


def _shown_by_scenarios() -> set[str]:
    """A line that begins with ``<`` is an event that came, in a script that every run of the tests plays."""
    scripts = [scenario.script for scenario in scenarios()]
    blocks = tomllib.loads((SCENARIOS / "blocks.toml").read_text("utf-8"))
    used = {name for script in scripts for name in _BLOCK.findall(script)}
    scripts += [text for name, text in blocks.items() if name in used]
    return {name for script in scripts for name in _EXPECTED.findall(script)}


def _all_types() -> set[str]:
    return {str(one.__struct_config__.tag) for one in get_args(ServerEvent)}


def test_every_server_event_of_the_api_is_emitted_by_a_scenario() -> None:
    absent = {name for name in _all_types() if name in MISSING}
    assert not _all_types() - absent - _shown_by_scenarios()


def test_what_scenarios_show_is_what_the_code_can_emit() -> None:
    assert _shown_by_scenarios() == emitted_types()
