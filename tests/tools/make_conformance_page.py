"""Writes ``docs/reference/conformance.md`` from the checks. Run ``python tests/tools/make_conformance_page.py``."""

from pathlib import Path

from antiphon.conform.report import reference_page

TARGET = Path(__file__).parents[2] / "docs" / "reference" / "conformance.md"

if __name__ == "__main__":
    TARGET.write_text(reference_page())
