"""How a session ends: nothing of it is left, its client is told why, and no other session notices."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest

from antiphon.core.limits import Limits
from antiphon.runtime.settings import RuntimeSettings
from antiphon.runtime.transport import TransportClosedError
from antiphon.testing.clock import run_virtual
from antiphon.testing.scripted import HANG, ScriptedLlm, ScriptedStt, ScriptedTts
from antiphon.vocabulary.llm import TextChunk
from antiphon.vocabulary.speech import SpokenAudio
from tests.support.audio import tone_ms
from tests.support.runtime import Client, Noted, engines_of, serving

SMALL = RuntimeSettings(outbox_bytes=64 * 1024)


# --- the client goes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("clean", "outcome"), [(True, "closed"), (False, "lost")])
@pytest.mark.parametrize("stage", ["listening", "transcribing", "thinking", "speaking"])
def test_a_client_that_goes_takes_all_its_work_with_it(stage: str, clean: bool, outcome: str) -> None:
    """``run_virtual`` fails where a task is left."""
    stt, llm, tts = ScriptedStt(delay_s=2), ScriptedLlm(delay_s=2), ScriptedTts(delay_s=2)
    running = {"listening": stt, "transcribing": stt, "thinking": llm, "speaking": tts}[stage]
    observer = Noted()

    async def main() -> None:
        async with serving(engines_of(stt=stt, llm=llm, tts=tts), observer=observer) as server:
            client = await server.connect()
            client.update(audio={"input": {"transcription": {"model": "whisper-1"}}}, instructions="scripted: long 90")
            if stage == "listening":
                await client.speak(tone_ms(500))
            else:
                await client.speak_turn()
                await asyncio.sleep({"transcribing": 1, "thinking": 3, "speaking": 7}[stage])
            assert running.running == 1
            client.hang_up(clean=clean)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert (stt.running, llm.running, tts.running) == (0, 0, 0)
            await server.all_ended()

    run_virtual(main())
    assert [summary.outcome for summary in observer.ended] == [outcome]
    assert observer.faults == []


def test_a_goodbye_that_comes_while_something_is_sent_is_a_clean_end() -> None:
    observer = Noted()

    async def main() -> None:
        async with serving(observer=observer) as server:
            client = await server.connect()
            client.reading.clear()
            client.ask("say Hello.")
            await asyncio.sleep(1)
            client.hang_up()
            await server.all_ended()

    run_virtual(main())
    assert [summary.outcome for summary in observer.ended] == ["closed"]


def test_a_connection_found_dead_on_writing_is_lost() -> None:
    class HalfDead(Client):
        async def receive(self) -> str | bytes:
            try:
                return await super().receive()
            except TransportClosedError:
                await asyncio.Event().wait()
                raise

    observer = Noted()

    async def main() -> None:
        async with serving(observer=observer) as server:
            client = await server.connect(HalfDead())
            client.ask("wait 1000")
            await client.until("response.created")
            client.hang_up()
            await server.all_ended()
            assert asyncio.get_running_loop().time() < 2

    run_virtual(main())
    assert [summary.outcome for summary in observer.ended] == ["lost"]


# --- the client does not read --------------------------------------------------------------------------------------


def test_a_client_that_does_not_read_is_closed_and_others_are_not() -> None:
    observer = Noted()

    async def main() -> None:
        async with serving(settings=SMALL, observer=observer) as server:
            slow, other = await server.connect(), await server.connect()
            slow.reading.clear()
            slow.ask("long 2000")
            assert await slow.until_closed() == (1008, "slow client: too many events were not read")
            other.ask("say Hello.")
            assert (await other.until("response.done"))["response"]["status"] == "completed"
            other.hang_up()
            await server.all_ended()

    run_virtual(main())
    assert [summary.outcome for summary in observer.ended] == ["slow_client", "closed"]


def test_a_client_that_reads_slowly_gets_its_whole_answer_later() -> None:
    """Speech is made no faster than it is taken; the connection is never in danger."""

    class Modem(Client):
        async def send(self, frames: Sequence[bytes]) -> None:
            await asyncio.sleep(sum(map(len, frames)) / 20_000)
            await super().send(frames)

    async def main() -> None:
        async with serving(settings=SMALL) as server:
            client = await server.connect(Modem())
            client.ask("long 60")
            done = await client.until("response.done")
            assert done["response"]["status"] == "completed"
            assert asyncio.get_running_loop().time() > 30
            assert sum(map(len, client.frames)) > 10 * SMALL.outbox_bytes
            client.hang_up()

    run_virtual(main())


def test_a_session_ends_in_time_whoever_does_not_read() -> None:
    """Its last events are given up, and so is a close that never returns."""

    class Stubborn(Client):
        async def close(self, code: int, reason: str) -> None:
            await super().close(code, reason)
            await asyncio.Event().wait()

    observer = Noted()

    async def main() -> None:
        async with serving(observer=observer) as server:
            client = await server.connect(Stubborn())
            client.reading.clear()
            client.ask("say Hello.")
            await asyncio.sleep(1)
            begun = asyncio.get_running_loop().time()
            await server.sessions.drain(0)
            assert asyncio.get_running_loop().time() - begun <= 10
            assert client.closed == (1001, "The server is shutting down.")

    run_virtual(main())
    assert [summary.outcome for summary in observer.ended] == ["shutdown"]


# --- time ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize("wait_s", [0.0, 0.1, 1 / 3, 12.3456789])
def test_a_session_expires(wait_s: float, busy: bool) -> None:
    observer = Noted()

    async def main() -> None:
        await asyncio.sleep(wait_s)
        async with serving(observer=observer) as server:
            client = await server.connect()
            if busy:
                client.ask("wait 9000000")
            assert (await client.until_closed())[0] == 1001
            assert asyncio.get_running_loop().time() == pytest.approx(3600 + wait_s)
            assert client.events[-1]["error"]["code"] == "session_expired"

    run_virtual(main())
    assert [summary.outcome for summary in observer.ended] == ["expired"]
    assert observer.ended[0].duration_s == pytest.approx(3600)


def test_a_session_may_last_as_long_as_the_settings_say() -> None:
    async def main() -> None:
        async with serving(settings=RuntimeSettings(limits=Limits(session_max_s=90))) as server:
            client = await server.connect()
            await client.until_closed()
            assert asyncio.get_running_loop().time() == pytest.approx(90)

    run_virtual(main())


# --- a bug of ours -------------------------------------------------------------------------------------------------


class NonsenseLlm(ScriptedLlm):
    async def generate(self, *_: Any, **__: Any) -> AsyncGenerator[Any, None]:
        yield "text that is no chunk"


class NonsenseTts(ScriptedTts):
    async def synthesize(self, *_: Any, **__: Any) -> AsyncGenerator[Any, None]:
        yield b"audio that is no piece"


class NonsenseStt(ScriptedStt):
    async def transcribe(self, *_: Any, **__: Any) -> AsyncGenerator[Any, None]:
        yield "text that is no transcript"


class HalfSampleTts(ScriptedTts):
    async def synthesize(self, *_: Any, **__: Any) -> AsyncGenerator[Any, None]:
        yield SpokenAudio(b"123", 0, 1)


class WordlessLlm(ScriptedLlm):
    """What it yields breaks the core itself."""

    async def generate(self, *_: Any, **__: Any) -> AsyncGenerator[Any, None]:
        yield TextChunk(7)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "engines",
    [
        {"llm": NonsenseLlm()},
        {"llm": WordlessLlm()},
        {"tts": NonsenseTts()},
        {"tts": HalfSampleTts()},
        {"stt": NonsenseStt()},
    ],
    ids=["llm", "llm without words", "tts", "half a sample", "stt"],
)
def test_an_engine_that_returns_nonsense_ends_its_session_only(engines: dict[str, Any]) -> None:
    observer = Noted()

    async def main() -> None:
        async with serving(engines_of(**engines), observer=observer) as server:
            broken, other = await server.connect(), await server.connect()
            await broken.speak_turn()
            assert await broken.until_closed() == (1011, "server_error.server_error")
            error = broken.events[-1]["error"]
            assert (error["type"], error["code"]) == ("server_error", "server_error")
            other.say("input_audio_buffer.clear")
            await other.until("input_audio_buffer.cleared")
            other.hang_up()
            await server.all_ended()

    run_virtual(main())
    assert len(observer.faults) == 1
    assert [summary.outcome for summary in observer.ended] == ["failed", "closed"]


@pytest.mark.parametrize("where", ["handle", "tick"])
@pytest.mark.parametrize("others", [1, 9])
def test_a_bug_in_the_core_ends_its_session_only(where: str, others: int) -> None:
    """Also where it strikes in the batch of all sessions, or when time has passed."""
    observer = Noted()
    stt = ScriptedStt(lambda call: [HANG] if call < 2 else "hello")

    def bug(*_: Any) -> Any:
        raise ZeroDivisionError("a bug")

    async def main() -> None:
        async with serving(engines_of(stt=stt), observer=observer) as server:
            broken = await server.connect()
            clients = [await server.connect() for _ in range(others)]
            await broken.speak_turn()
            # The first session's own core, and no other.
            setattr(next(iter(server.sessions._running)).session, where, bug)
            broken.append(tone_ms(100 if where == "handle" else 1))
            assert await broken.until_closed() == (1011, "server_error.server_error")
            for client in clients:
                await client.speak_turn()
                assert (await client.until("response.done"))["response"]["status"] == "completed"
                client.hang_up()
            await server.all_ended()

    run_virtual(main())
    assert [type(fault) for fault in observer.faults] == [ZeroDivisionError]
    assert [summary.outcome for summary in observer.ended] == ["failed"] + ["closed"] * others
