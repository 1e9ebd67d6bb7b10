"""Every scenario of ``tests/scenarios`` is what the session does: events, orders, and their order."""

import pytest

from tests.support.script import Scenario, play, scenarios
from tests.support.session import replayed


@pytest.mark.parametrize("scenario", scenarios(), ids=str)
def test_scenario(scenario: Scenario) -> None:
    driver = play(scenario)
    assert replayed(driver) == driver.history, "the log does not replay to the same outputs"
