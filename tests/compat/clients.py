"""The real clients, what each can do, and how one is run."""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scripts.clients import ensure, node

__all__ = ["CLIENTS", "SCENARIOS", "Client", "Outcome", "beside_its_packages", "run_client"]

ROOT: Final = Path(__file__).parents[2]
_CLIENT_S: Final = 170

SCENARIOS: Final = (
    "connect",
    "configure",
    "spoken_turn",
    "text_turn",
    "two_tools",
    "barge_in",
    "cancel",
    "error",
    "reconnect",
    "transcription",
    "client_secret",
    "mcp_tools",
)


@dataclass(frozen=True)
class Client:
    """A row of the published tables; ``name`` is the folder."""

    name: str
    title: str
    package: str
    how: str
    """How it is pointed at the server."""
    tls: bool = False
    without: tuple[str, ...] = ()
    """Scenarios of things that this client has not."""

    @property
    def scenarios(self) -> tuple[str, ...]:
        return tuple(one for one in SCENARIOS if one not in self.without)

    @property
    def version(self) -> str:
        """As it is pinned."""
        environment = ROOT / "tests" / "compat" / self.name
        if (environment / "package.json").exists():
            pins = json.loads((environment / "package.json").read_text())["dependencies"]
        else:
            pins = dict(line.split("==") for line in (environment / "requirements.txt").read_text().splitlines())
        return str(pins[self.package])


CLIENTS: Final = (
    Client(
        "openai_python",
        "OpenAI SDK, Python",
        "openai",
        "`OPENAI_BASE_URL=http://127.0.0.1:8000/v1`, any `OPENAI_API_KEY`, "
        '`client.realtime.connect(model="gpt-realtime")`',
    ),
    Client(
        "openai_node",
        "OpenAI SDK, Node",
        "openai",
        'speaks `wss` only: `make serve ARGS="--tls-self-signed"`, `NODE_EXTRA_CA_CERTS` as it prints, '
        '`new OpenAI({ baseURL: "https://127.0.0.1:8000/v1" })`',
        tls=True,
    ),
    Client(
        "agents_python",
        "Agents SDK, Python",
        "openai-agents",
        '`RealtimeRunner(agent).run(model_config={"url": "ws://127.0.0.1:8000/v1/realtime?model=gpt-realtime", '
        '"api_key": "any"})`',
        without=("transcription", "client_secret", "mcp_tools"),
    ),
    Client(
        "agents_js",
        "Agents SDK, JavaScript",
        "@openai/agents-realtime",
        '`new OpenAIRealtimeWebSocket({ url: "ws://127.0.0.1:8000/v1/realtime?model=gpt-realtime" })`',
        without=("transcription",),
    ),
    Client(
        "livekit_plugin",
        "LiveKit Agents",
        "livekit-plugins-openai",
        '`openai.realtime.RealtimeModel(base_url="http://127.0.0.1:8000/v1", api_key="any")`',
        without=("client_secret", "mcp_tools"),
    ),
    Client(
        "pipecat_pipeline",
        "Pipecat",
        "pipecat-ai",
        '`OpenAIRealtimeLLMService(base_url="ws://127.0.0.1:8000/v1/realtime", api_key="any")`',
        without=("client_secret", "mcp_tools"),
    ),
)


@dataclass(frozen=True)
class Outcome:
    ok: bool
    detail: str


def run_client(
    name: str, address: str, folder: Path, cut: Callable[[], None], environment: dict[str, str]
) -> dict[str, Outcome]:
    """Run all scenarios of a client in its own process; ``folder`` is empty and its own."""
    command = [*_command(name, folder), address]
    outcomes: dict[str, Outcome] = {}
    with (
        (folder / "stderr").open("w+") as complaints,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            cwd=folder,
            env={**_environment(), **environment},
        ) as process,
        _killed_after(process, _CLIENT_S),
    ):
        for line in _lines(process):
            if "cut" in line:
                cut()
            else:
                outcomes[line["scenario"]] = Outcome(line["ok"], line["detail"])
    if process.returncode:
        problem = (folder / "stderr").read_text()[-3000:]
        outcomes[""] = Outcome(False, f"exit status {process.returncode}\n{problem}")
    return outcomes


@contextmanager
def _killed_after(process: "subprocess.Popen[str]", seconds: float) -> Iterator[None]:
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _lines(process: "subprocess.Popen[str]") -> Iterator[Any]:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{"):
            yield json.loads(line)


def _command(name: str, folder: Path) -> list[str | Path]:
    environment = ensure(name)
    if environment.is_python:
        return [environment.python, environment.source / "run.py"]
    return [node() / "bin" / "node", beside_its_packages(name, "run.mjs", folder)]


def beside_its_packages(name: str, script: str, folder: Path) -> Path:
    """A copy of a Node script from where it finds its client's packages."""
    environment = ensure(name)
    (folder / "node_modules").symlink_to(environment.node_modules)
    for file in (environment.source / script, environment.source.parent / "reporting.mjs"):
        shutil.copy(file, folder)
    return folder / script


def _environment() -> dict[str, str]:
    """Nothing of ours that would lead a client elsewhere."""
    ours = ("ANTIPHON_", "OPENAI_", "PYTHON", "NODE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "PYTHONPATH": str(ROOT), "OPENAI_AGENTS_DISABLE_TRACING": "1"}
