"""All clients run once, two at a time, each behind a relay of its own; the tests look at what came of it."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts.clients import ensure_all
from tests.compat.clients import CLIENTS, Client, Outcome, run_client
from tests.support.mcp_server import served_mcp
from tests.support.relay import relay_to
from tests.support.server import ServerProcess, running_server

_AT_A_TIME = 2


@dataclass(frozen=True)
class Run:
    outcomes: dict[str, dict[str, Outcome]]
    recordings: Path
    log: list[str]
    """What the servers printed."""


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    ensure_all()
    recordings, state = tmp_path_factory.mktemp("recordings"), tmp_path_factory.mktemp("state")
    trusted = {"NODE_EXTRA_CA_CERTS": str(state / "antiphon" / "tls" / "ca.pem")}
    with ExitStack() as stack:
        tools = stack.enter_context(served_mcp())
        flags = ["--engine", "scripted", "--set", f"record_dir={recordings}"]
        flags += ["--set", f"mcp.allowed_hosts={tools.host}"]
        told = {"MCP_URL": f"http://{tools.host}/mcp"}
        plain = stack.enter_context(running_server(flags))
        secure = stack.enter_context(
            running_server([*flags, "--tls-self-signed"], environment={"XDG_STATE_HOME": str(state)})
        )

        def run_one(client: Client) -> dict[str, Outcome]:
            server = secure if client.tls else plain
            with relay_to(_port(server)) as relay:
                address = server.base_url.replace(f":{_port(server)}/", f":{relay.port}/")
                folder = tmp_path_factory.mktemp(client.name)
                return run_client(client.name, address, folder, relay.cut, told | (trusted if client.tls else {}))

        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            outcomes = dict(zip((one.name for one in CLIENTS), pool.map(run_one, CLIENTS), strict=True))
    return Run(outcomes, recordings, [*plain.lines, *secure.lines])


def _port(server: ServerProcess) -> int:
    return int(server.base_url.rsplit(":", 1)[1].partition("/")[0])
