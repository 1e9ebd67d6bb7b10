"""The clients that people use, pinned and unmodified, each in its own environment, drive a server process."""

import pytest

from tests.compat.clients import CLIENTS, Client
from tests.compat.conftest import Run

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]


@pytest.mark.parametrize(
    ("client", "scenario"),
    [(client.name, scenario) for client in CLIENTS for scenario in client.scenarios],
)
def test_scenario(run: Run, client: str, scenario: str) -> None:
    outcomes = run.outcomes[client]
    assert scenario in outcomes, f"it did not come to that: {outcomes.get('', list(outcomes))}"
    assert outcomes[scenario].ok, outcomes[scenario].detail


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_client_does_what_its_row_of_the_table_says_and_nothing_else(run: Run, client: Client) -> None:
    assert set(run.outcomes[client.name]) == set(client.scenarios)


def test_the_server_met_no_fault(run: Run) -> None:
    assert not [line for line in run.log if "Traceback" in line or " ERROR " in line]
