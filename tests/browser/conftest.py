"""One browser and one event loop for all: the tests run inside the fixture ``world``, and are then asked what came."""

import asyncio
from collections.abc import Mapping
from inspect import iscoroutinefunction
from typing import Any, cast

import pytest

from tests.browser.support.cases import Outcome, arguments, asynchronous, run_all
from tests.browser.support.world import KEY, Servers, World, running_world
from tests.support.server import running_server

_NOTES = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "alone: measures time, so nothing else runs beside it")
    config.stash[_NOTES] = []


@pytest.fixture(scope="session")
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Outcome]:
    """Given to a coroutine function this is a ``World``; all of them have then been run."""
    tests = [(test, arguments(test, request)) for test in asynchronous(request.session.items)]

    async def run(servers: Servers) -> dict[str, Outcome]:
        async with running_world(servers, tmp_path_factory.mktemp) as world:
            outcomes = await run_all([(test, {**given, "world": world}) for test, given in tests])
            _note(request.config, world, outcomes)
            return outcomes

    flags = ["--engine", "scripted"]
    with running_server(flags, environment={"ANTIPHON_API_KEYS": KEY}) as closed, running_server(flags) as opened:
        outcomes = asyncio.run(run(Servers(closed, opened)))
    assert not [line for line in [*closed.lines, *opened.lines] if "Traceback" in line or " ERROR " in line]
    return outcomes


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not iscoroutinefunction(pyfuncitem.obj):
        return None
    outcomes = cast(Mapping[str, Outcome], pyfuncitem.funcargs["world"])
    outcome = outcomes[pyfuncitem.nodeid]
    if outcome.error is not None:
        raise outcome.error
    return True


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for note in config.stash[_NOTES]:
        terminalreporter.write_line(note)


def _note(config: pytest.Config, world: World, outcomes: Mapping[str, Outcome]) -> None:
    notes = config.stash[_NOTES]
    notes += world.notes
    for name, outcome in sorted(outcomes.items(), key=lambda pair: -pair[1].seconds)[:10]:
        notes.append(f"{outcome.seconds:5.1f} s {name}")
