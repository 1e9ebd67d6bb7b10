"""Every event that the server sends can be read by the parsers of the clients that refuse what they do not know.

The official types and the schema are asked for each event of every test, see ``antiphon.testing.wire``.
"""

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from antiphon.testing.wire import assert_valid_server_event
from scripts.clients import ensure, node
from tests.compat.clients import beside_its_packages
from tests.compat.conftest import Run
from tests.compat.emitted import distinct, of_recordings, of_scenarios

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]

Event = dict[str, Any]
Kinds = dict[str, Callable[[Event], bool]]


def _of_a_transcription_session(event: Event) -> bool:
    return bool(event.get("session", {}).get("type") == "transcription")


def _with_a_chosen_tool(event: Event) -> bool:
    return isinstance(event.get("session", {}).get("tool_choice"), dict)


def _of_a_remote_tool(event: Event) -> bool:
    items = [
        event.get("item", {}),
        *event.get("response", {}).get("output", ()),
        *event.get("session", {}).get("tools", ()),
    ]
    return any("mcp" in one.get("type", "") for one in (event, *items))


def _of_a_failed_remote_tool(event: Event) -> bool:
    return bool(event["type"] == "response.mcp_call.failed")


def _of_an_image(event: Event) -> bool:
    return any(part["type"] == "input_image" for part in event.get("item", {}).get("content", ()))


def _of_an_idle_user(event: Event) -> bool:
    return bool(event["type"] == "input_audio_buffer.timeout_triggered")


def _of_a_call(event: Event) -> bool:
    return bool(event["type"].startswith("output_audio_buffer."))


PIPECAT_DOES_NOT_KNOW: Kinds = {
    "the playout of calls: it speaks WebSocket, over which none comes": _of_a_call,
    "transcription sessions: its speech-to-text reads them without this parser": _of_a_transcription_session,
    "a tool choice that names the tool": _with_a_chosen_tool,
    "tools on remote servers": _of_a_remote_tool,
    "the idle time-out": _of_an_idle_user,
}
AGENTS_JS_DOES_NOT_KNOW: Kinds = {
    "images in what is echoed: such an item is missing in the history of its session": _of_an_image,
    "that the call of a tool on a remote server failed: the item that is done tells it": _of_a_failed_remote_tool,
    "the idle time-out": _of_an_idle_user,
}


@pytest.fixture(scope="module")
def events(run: Run) -> list[Event]:
    return distinct(event for source in (of_scenarios(), of_recordings(run.recordings)) for event in source)


@pytest.fixture(scope="module")
def file_of_events(events: list[Event], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("events") / "events.jsonl"
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


def verdicts(command: Sequence[Path], events: list[Event]) -> list[tuple[str, Event]]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line)["verdict"] for line in done.stdout.splitlines() if line.startswith("{")]
    return list(zip(lines, events, strict=True))


def assert_all_read(judged: list[tuple[str, Event]], unknown: Kinds) -> None:
    """Each event is read, but for the kinds that the client does not know; and those it really does not."""
    refused = [(verdict, event) for verdict, event in judged if verdict != "ok"]
    surprising = [one for one in refused if not any(is_of(one[1]) for is_of in unknown.values())]
    assert not surprising, f"{len(surprising)} of {len(judged)}, as {json.dumps(surprising[0])[:3000]}"
    for kind, is_of in unknown.items():
        of_kind = [verdict for verdict, event in judged if is_of(event)]
        assert not of_kind or set(of_kind) != {"ok"}, f"it knows this now: {kind}"


def test_pipecat_reads_every_event(events: list[Event], file_of_events: Path) -> None:
    environment = ensure("pipecat_pipeline")
    command = [environment.python, environment.source / "parse.py", file_of_events]
    assert_all_read(verdicts(command, events), PIPECAT_DOES_NOT_KNOW)


def test_the_agents_sdk_for_javascript_reads_every_event(
    events: list[Event], file_of_events: Path, tmp_path: Path
) -> None:
    script = beside_its_packages("agents_js", "parse.mjs", tmp_path)
    command = [node() / "bin" / "node", script, file_of_events]
    assert_all_read(verdicts(command, events), AGENTS_JS_DOES_NOT_KNOW)


def test_events_of_real_sessions_are_valid_for_the_official_types_and_the_schema(run: Run) -> None:
    for event in distinct(of_recordings(run.recordings)):
        assert_valid_server_event(event)
