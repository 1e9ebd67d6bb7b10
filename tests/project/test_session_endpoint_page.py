"""The page about the session endpoint has its settings and the codes of its refusals."""

import dataclasses
import re
from pathlib import Path

from antiphon.broker import BrokerSettings, Limit

_ROOT = Path(__file__).parent.parent.parent
_PAGE = (_ROOT / "docs" / "reference" / "session-endpoint.md").read_text()
_SOURCES = [path.read_text() for path in (_ROOT / "src" / "antiphon" / "broker").glob("*.py")]


def _section(heading: str) -> str:
    return _PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def _shown(field: "dataclasses.Field[object]") -> str:
    if field.default is dataclasses.MISSING:
        return "needed"
    if isinstance(field.default, Limit):
        return f"`Limit({field.default.requests})`"
    return '`""`' if field.default == "" else f"`{field.default}`"


def test_every_setting_is_on_the_page_with_its_default() -> None:
    told = re.findall(r"^\| `(\w+)` \| (\S+) \|", _section("Settings"), re.MULTILINE)
    assert told == [(field.name, _shown(field)) for field in dataclasses.fields(BrokerSettings)]


def test_every_code_of_a_refusal_is_on_the_page() -> None:
    cells = re.findall(r"^\| [^|]+ \|([^|]+)\|", _section("Refusals"), re.MULTILINE)
    told = set(re.findall(r"`([a-z_]+)`", "".join(cells)))
    made = {code for source in _SOURCES for code in re.findall(r'\bcode: str = "(\w+)"|\bcode="(\w+)"', source)}
    assert told - {"code"} == {first or second for first, second in made}
