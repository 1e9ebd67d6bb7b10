"""One scripted server for all tests that drive it from outside."""

from collections.abc import Iterator

import pytest

from tests.support.server import ServerProcess, running_server


@pytest.fixture(scope="session")
def scripted_server() -> Iterator[ServerProcess]:
    with running_server(["--engine", "scripted"]) as server:
        yield server
