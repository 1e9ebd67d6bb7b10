"""Calls and sidebands that do anything at any time: no fault of ours, nothing left behind, and one truth for all."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from antiphon.core.inputs import PlayoutCleared
from antiphon.core.outputs import Emit
from antiphon.protocol.codec import encode_server_event
from antiphon.runtime.recorder import Replay
from antiphon.runtime.settings import RuntimeSettings
from antiphon.testing.clock import run_virtual
from tests.support.audio import silence_ms, tone_ms
from tests.support.call import Call, Media
from tests.support.chaos import IMPATIENT, Chaos
from tests.support.runtime import Client, Noted, Server, serving


class CallChaos(Chaos):
    """Whoever is connected speaks on the track, says anything, comes and goes."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.call = Call(opened=False, media=Media(room_s=1))
        self.sidebands: list[Client] = []

    async def run(self, server: Server, number: int) -> None:
        """One call, from its begin to its end."""
        await server.connect(self.call, ready=False)
        for _ in range(self.chance.randrange(80)):
            await self._do_something(server, number)
            if self.call.closed:
                return
        await asyncio.sleep(self.chance.choice([0.0, 0.1, 60.0]))
        self._end(server, number)

    async def _do_something(self, server: Server, number: int) -> None:
        chance = self.chance.random()
        if chance < 0.1:
            self.call.opened.set()
        elif chance < 0.2:
            self.sidebands.append(await server.attach(session=number))
        elif chance < 0.25 and self.sidebands:
            self.chance.choice(self.sidebands).hang_up(clean=self.chance.random() < 0.5)
        elif chance < 0.27 and server.sidebands:
            self.chance.choice(server.sidebands).cancel()
        elif chance < 0.28:
            self._end(server, number)
        elif chance < 0.34:
            await self.call.media.speak(self.some_turn())
        else:
            self.chance.choice(self.actions())(self.chance.choice([self.call, *self.sidebands]))
        if self.chance.random() < 0.5:
            await asyncio.sleep(self.chance.choice([0.0, 0.001, 0.02, 0.05, 0.3]))

    def _end(self, server: Server, number: int) -> None:
        if self.chance.random() < 0.5:
            server.handles[number].end(1000, "The application has hung up.")
        else:
            self.call.hang_up(clean=self.chance.random() < 0.5)

    def actions(self) -> list[Callable[[Client], None]]:
        speech = tone_ms(self.chance.randrange(10, 600))
        pause = silence_ms(self.chance.randrange(10, 600))
        return [
            *super().actions()[4:],
            lambda _: self.call.media.hear(speech),
            lambda _: self.call.media.hear(speech + pause),
            lambda _: self.call.media.hear(pause),
            lambda client: client.say("output_audio_buffer.clear"),
        ]


def _assert_playout_is_told_whole(call: Call) -> None:
    """What is in the buffer ends once, and nothing that has not left was heard."""
    playing: set[str] = set()
    for event in call.events:
        match event["type"]:
            case "output_audio_buffer.started":
                assert event["response_id"] not in playing
                playing.add(event["response_id"])
            case "output_audio_buffer.stopped":
                playing.remove(event["response_id"])
            case "output_audio_buffer.cleared":
                playing.discard(event.get("response_id", ""))
            case "response.output_audio.delta":
                raise AssertionError("audio on the channel of a call")
    for fact in call.media.facts:
        assert not isinstance(fact, PlayoutCleared) or fact.heard_ms * 24 <= fact.sent_samples


@pytest.mark.parametrize("seed", range(16))
def test_whatever_happens_in_calls_none_faults_and_nothing_is_left(seed: int, tmp_path: Path) -> None:
    observer = Noted()
    settings = RuntimeSettings(
        draft_sessions=1 + seed % 3, resilience=IMPATIENT, record_dir=str(tmp_path), record_audio=True
    )
    chaos = [CallChaos(100 * seed + number) for number in range(1 + seed % 7)]
    engines = chaos[0]

    async def main() -> None:
        async with serving(engines.engines, settings, observer) as server:
            async with asyncio.TaskGroup() as tasks:
                for number, one in enumerate(chaos):
                    tasks.create_task(one.run(server, number))
            await server.all_ended()
            assert all(task.done() for task in server.sidebands)
            assert engines.running == 0

    run_virtual(main())
    assert observer.faults == []
    assert {summary.outcome for summary in observer.ended} <= {"closed", "lost"}
    for one in chaos:
        _assert_playout_is_told_whole(one.call)
    for log in tmp_path.iterdir():
        assert all(step.outcome == step.recorded and step.error is None for step in Replay(log))


@pytest.mark.parametrize("seed", range(8))
def test_each_connection_is_told_a_part_of_what_the_core_emitted_without_a_gap(seed: int, tmp_path: Path) -> None:
    settings = RuntimeSettings(resilience=IMPATIENT, record_dir=str(tmp_path), record_audio=True)
    chaos = CallChaos(seed)

    async def main() -> None:
        async with serving(chaos.engines, settings) as server:
            chaos.call.opened.set()
            await chaos.run(server, 0)
            await server.all_ended()

    run_virtual(main())
    (log,) = tmp_path.iterdir()
    outputs = [output for step in Replay(log) for output in step.outputs if isinstance(output, Emit)]
    attached = [client for client in chaos.sidebands if client.closed is None or client.closed[0] != 1013]
    for client in (chaos.call, *attached):
        known = set(client.frames)
        emitted = [encode_server_event(output.event) for output in outputs]
        told = [frame for frame in emitted if frame in known]
        assert told == client.frames
    common = [encode_server_event(output.event) for output in outputs if output.origin is None]
    for client in attached:
        frames = [frame for frame in client.frames if frame in set(common)]
        if frames:
            first = common.index(frames[0])
            assert common[first : first + len(frames)] == frames
        assert "session.created" not in client.types()
