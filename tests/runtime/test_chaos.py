"""Clients that do anything at any time, on engines that fail in any way: no fault of ours, nothing left behind."""

import asyncio
from pathlib import Path

import pytest

from antiphon.core.outputs import Emit
from antiphon.protocol.codec import encode_server_event
from antiphon.runtime.recorder import Replay
from antiphon.runtime.settings import RuntimeSettings
from antiphon.testing.clock import run_virtual
from tests.support.chaos import IMPATIENT, Chaos
from tests.support.runtime import Client, Noted, serving


def _assert_responses_are_told_whole(client: Client) -> None:
    """At most one default response at a time; each ends once; nothing of it comes before or after."""
    active: set[str] = set()
    for event in client.events:
        response_id = event.get("response_id") or event.get("response", {}).get("id")
        match event["type"]:
            case "response.created":
                assert response_id not in active
                active.add(response_id)
            case "response.done":
                active.remove(response_id)
            case _ if response_id is not None:
                assert response_id in active, f"{event['type']} of a response that is over"


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_no_session_faults_and_nothing_is_left(seed: int, tmp_path: Path) -> None:
    chaos, observer = Chaos(seed), Noted()
    settings = RuntimeSettings(
        draft_sessions=1 + seed % 3, resilience=IMPATIENT, record_dir=str(tmp_path), record_audio=True
    )
    clients: list[Client] = []

    async def main() -> None:
        async with serving(chaos.engines, settings, observer) as server:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(1 + seed % 7):
                    clients.append(await server.connect())
                    tasks.create_task(chaos.use(clients[-1]))
            await server.all_ended()
            assert chaos.running == 0

    run_virtual(main())
    assert observer.faults == []
    assert {summary.outcome for summary in observer.ended} <= {"closed", "lost"}
    for client in clients:
        _assert_responses_are_told_whole(client)
        log = tmp_path / (client.events[0]["session"]["id"] + ".jsonl")
        outputs = [output for step in Replay(log) for output in step.outputs]
        emitted = [encode_server_event(output.event) for output in outputs if isinstance(output, Emit)]
        # What was emitted last may not have been sent any more.
        assert emitted[: len(client.frames)] == client.frames
