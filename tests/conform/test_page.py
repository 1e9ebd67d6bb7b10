"""The page that lists the checks is the one made from them."""

from pathlib import Path

from antiphon.conform.checks import GROUPS, all_checks
from antiphon.conform.report import reference_page

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "conformance.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == reference_page()  # tests/tools/make_conformance_page.py writes it


def test_ids_are_unique_and_every_check_names_its_source() -> None:
    checks = all_checks()
    assert len({check.id for check in checks}) == len(checks) >= 120
    assert all(check.source and check.title for check in checks)
    assert {check.group for check in checks} == {group.group for group in GROUPS}
