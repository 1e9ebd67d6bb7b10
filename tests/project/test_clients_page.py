"""What is published of the clients is what their tests run."""

from pathlib import Path

import pytest

from tests.compat.clients import CLIENTS, SCENARIOS, Client

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "clients.md").read_text()
README = (ROOT / "README.md").read_text()


def test_every_scenario_is_a_column_and_explained() -> None:
    names = [scenario.replace("_", " ") for scenario in SCENARIOS]
    assert f"| client | package | {' | '.join(names)} |" in PAGE
    assert [name for name in names if f"\n| {name} | " not in PAGE] == []


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_the_row_of_a_client_says_its_pinned_version_and_the_scenarios_it_passes(client: Client) -> None:
    cells = ["yes" if scenario in client.scenarios else "-" for scenario in SCENARIOS]
    assert f"| {client.title} | `{client.package}` {client.version} | {' | '.join(cells)} |" in PAGE


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
@pytest.mark.parametrize("text", [PAGE, README], ids=["page", "readme"])
def test_one_way_to_point_a_client_at_the_server_is_told_everywhere(text: str, client: Client) -> None:
    assert f"| {client.title} | {client.how} |" in text
