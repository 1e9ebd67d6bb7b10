"""All sessions of a process: admission, the audio they share the room for, and their common end."""

import asyncio
import gc
import tracemalloc

import pytest

from antiphon.core.limits import Limits
from antiphon.runtime.settings import RuntimeSettings
from antiphon.testing.clock import run_virtual
from antiphon.testing.scripted import ScriptedLlm
from tests.support.audio import silence_ms, tone_ms
from tests.support.runtime import Client, Noted, Server, engines_of, serving


def test_a_full_process_admits_nobody_until_somebody_leaves() -> None:
    async def main() -> None:
        async with serving(settings=RuntimeSettings(max_sessions=2)) as server:
            first = await server.connect()
            await server.connect()
            assert server.sessions.try_admit() is None
            first.hang_up()
            await asyncio.wait(server.tasks[:1])
            assert server.sessions.active == 1
            await server.connect()

    run_virtual(main())


def test_a_place_that_is_not_used_is_given_back() -> None:
    async def main() -> None:
        async with serving(settings=RuntimeSettings(max_sessions=1)) as server:
            admission = server.sessions.try_admit()
            assert admission is not None
            with admission:
                assert server.sessions.active == 1
            assert server.sessions.active == 0

    run_virtual(main())


def test_a_transcription_session_transcribes_and_answers_nothing() -> None:
    async def main() -> None:
        async with serving() as server:
            client = await server.connect(kind="transcription")
            await client.speak_turn()
            await client.until("conversation.item.input_audio_transcription.completed")
            await asyncio.sleep(5)
            assert client.of_type("response.created") == []
            client.hang_up()

    run_virtual(main())


# --- shutdown ------------------------------------------------------------------------------------------------------


def test_draining_lets_sessions_finish_and_admits_nobody() -> None:
    observer = Noted()

    async def main() -> None:
        async with serving(observer=observer) as server:
            client = await server.connect()
            client.ask("wait 3000\nsay Hello.")

            async def hang_up_when_done() -> None:
                assert (await client.until("response.done"))["response"]["status"] == "completed"
                client.hang_up()

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(hang_up_when_done())
                draining = tasks.create_task(server.sessions.drain(30))
                await asyncio.sleep(1)
                assert server.sessions.draining
                assert server.sessions.try_admit() is None
                await draining
            assert asyncio.get_running_loop().time() == pytest.approx(3, abs=0.5)

    run_virtual(main())
    assert [summary.outcome for summary in observer.ended] == ["closed"]


def test_draining_closes_who_stays_with_its_last_events_delivered() -> None:
    observer = Noted()
    llm = ScriptedLlm()

    async def main() -> None:
        async with serving(engines_of(llm=llm), observer=observer) as server:
            talking, idle = await server.connect(), await server.connect()
            talking.ask("say Well.\nhang")
            await server.sessions.drain(5)
            assert asyncio.get_running_loop().time() == pytest.approx(5, abs=0.1)
            for client in (talking, idle):
                assert client.closed == (1001, "The server is shutting down.")
            assert talking.types()[-1] == "response.output_audio_transcript.delta"
            assert llm.running == 0

    run_virtual(main())
    assert [summary.outcome for summary in observer.ended] == ["shutdown", "shutdown"]


def test_draining_an_empty_process_takes_no_time() -> None:
    async def main() -> None:
        async with serving() as server:
            await server.sessions.drain(30)
            assert asyncio.get_running_loop().time() == 0

    run_virtual(main())


def test_a_session_that_does_not_end_when_told_is_cut_off() -> None:
    class Immortal(Client):
        async def close(self, code: int, reason: str) -> None:
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    if asyncio.get_running_loop().time() > 10:
                        raise

    async def main() -> None:
        async with serving() as server:
            await server.connect(Immortal())
            await server.sessions.drain(0)
            assert server.tasks[0].cancelled()
            assert asyncio.get_running_loop().time() < 30

    run_virtual(main())


def test_cutting_a_drain_short_leaves_the_sessions_alone() -> None:
    """The server closes their connections next."""

    async def main() -> None:
        async with serving() as server:
            client = await server.connect()
            async with asyncio.TaskGroup() as tasks:
                draining = tasks.create_task(server.sessions.drain(30))
                await asyncio.sleep(1)
                draining.cancel()
            client.say("input_audio_buffer.clear")
            await client.until("input_audio_buffer.cleared")
            client.hang_up()

    run_virtual(main())


@pytest.mark.parametrize("busy", [False, True])
def test_cancelling_a_session_leaves_nothing_of_it(busy: bool) -> None:
    observer = Noted()
    llm = ScriptedLlm()

    async def main() -> None:
        async with serving(engines_of(llm=llm), observer=observer) as server:
            client = await server.connect()
            if busy:
                client.ask("say Well then. I\nhang")
                await client.until("response.output_audio.delta")
            server.tasks[0].cancel()
            await server.all_ended()
            assert llm.running == 0

    run_virtual(main())
    assert [summary.outcome for summary in observer.ended] == ["shutdown"]


# --- audio of all sessions -----------------------------------------------------------------------------------------


def _kept(server: Server) -> list[int]:
    return [orchestrator.session.audio_bytes for orchestrator in server.sessions._running]


def test_sessions_that_keep_most_audio_give_way_where_all_keep_too_much() -> None:
    second = len(silence_ms(1000))
    settings = RuntimeSettings(process_audio_bytes=20 * second)

    async def main() -> None:
        async with serving(settings=settings) as server:
            clients = [await server.connect() for _ in range(4)]
            for client, seconds in zip(clients, (30, 30, 2, 1), strict=True):
                client.update(audio={"input": {"turn_detection": None}})
                client.append(silence_ms(seconds * 1000))
                client.say("input_audio_buffer.commit")
                await client.until("input_audio_buffer.committed")
                client.append(silence_ms(seconds * 1000))
                client.say("response.cancel")  # refused, after the audio before it
                await client.until("error")
            assert sum(_kept(server)) == 126 * second
            await asyncio.sleep(1.1)
            assert sum(_kept(server)) <= 20 * second
            # Those within their share keep all.
            assert _kept(server)[2:] == [4 * second, 2 * second]
            for client in clients[:2]:
                client.hang_up()
            await asyncio.sleep(1.1)
            clients[2].append(silence_ms(8000))
            clients[2].say("input_audio_buffer.commit")
            await clients[2].until("input_audio_buffer.committed", 2)
            assert _kept(server)[0] == 12 * second

    run_virtual(main())


def test_a_session_keeps_no_more_audio_than_its_own_bound() -> None:
    bound = 10 * len(silence_ms(1000))
    settings = RuntimeSettings(limits=Limits(audio_bytes=bound))

    async def main() -> None:
        async with serving(settings=settings) as server:
            client = await server.connect()
            client.update(audio={"input": {"turn_detection": None}})
            for number in range(5):
                client.append(silence_ms(4000))
                client.say("input_audio_buffer.commit")
                await client.until("input_audio_buffer.committed", number + 1)
                assert _kept(server)[0] <= bound
            client.hang_up()

    run_virtual(main())


# --- many sessions -------------------------------------------------------------------------------------------------


def test_two_hundred_sessions_speak_at_the_same_time_and_each_gets_its_own_answer() -> None:
    observer = Noted()

    async def one(server: Server, number: int) -> None:
        client = await server.connect()
        client.update(instructions=f"scripted: say I am number {number}.")
        await client.speak(tone_ms(300 + number) + silence_ms(700), chunk_ms=100)
        done = await client.until("response.done")
        assert done["response"]["output"][0]["content"][0]["transcript"] == f"I am number {number}."
        client.hang_up()

    async def main() -> None:
        async with serving(settings=RuntimeSettings(max_sessions=200), observer=observer) as server:
            async with asyncio.TaskGroup() as tasks:
                for number in range(200):
                    tasks.create_task(one(server, number))
            await server.all_ended()

    run_virtual(main())
    assert len(observer.ended) == 200
    assert {(summary.outcome, summary.turns) for summary in observer.ended} == {("closed", 1)}
    # The detector hears them together.
    assert observer.windows / observer.batches > 8


def test_a_session_that_is_silent_takes_less_than_half_a_megabyte() -> None:
    sessions = 20

    async def main() -> int:
        async with serving() as server:
            for _ in range(2):
                await server.connect()
            gc.collect()
            tracemalloc.start()
            for _ in range(sessions):
                client = await server.connect()
                client.append(silence_ms(2000))
            await asyncio.sleep(2)
            gc.collect()
            taken, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return taken // sessions

    taken = run_virtual(main())
    assert 50_000 < taken < 500_000, f"{taken} bytes a session"
