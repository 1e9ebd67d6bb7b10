"""What a client sends is read at a bounded pace and cost, and whatever is wrong with it gets one answer."""

import asyncio
import base64
import json
from typing import Any

import pytest

from antiphon.protocol.codec import BASE64_CHARS_MAX
from antiphon.runtime.budget import ByteBudget
from antiphon.runtime.pace import Pace
from antiphon.runtime.settings import RuntimeSettings
from antiphon.testing.clock import run_virtual
from tests.support.audio import silence_ms
from tests.support.runtime import Noted, serving


def _append(audio: str, **fields: Any) -> str:
    return json.dumps({"type": "input_audio_buffer.append", "audio": audio, **fields})


BAD_FRAMES: dict[str, tuple[str | bytes, str]] = {
    "binary": (b"\x00\x01", "invalid_event"),
    "binary JSON": (b'{"type": "response.create"}', "invalid_event"),
    "empty": ("", "invalid_event"),
    "half": ("{", "invalid_event"),
    "words": ("nonsense", "invalid_event"),
    "array": ("[]", "invalid_event"),
    "deep": ("[" * 40_000, "invalid_value"),
    "no type": ("{}", "invalid_event"),
    "unknown type": ('{"type": "response.dance"}', "invalid_value"),
    "missing field": ('{"type": "conversation.item.delete"}', "missing_required_parameter"),
    "wrong type": ('{"type": "conversation.item.delete", "item_id": 7}', "invalid_type"),
    "no audio": (_append(""), "invalid_value"),
    "no base64": (_append("!!!"), "invalid_value"),
    "odd audio": (_append(base64.b64encode(b"odd").decode()), "invalid_value"),
    "too much audio": (_append("A" * (BASE64_CHARS_MAX + 4)), "invalid_value"),
}


@pytest.mark.parametrize(("frame", "code"), BAD_FRAMES.values(), ids=BAD_FRAMES.keys())
def test_a_bad_frame_gets_one_error_and_the_session_goes_on(frame: str | bytes, code: str) -> None:
    observer = Noted()

    async def main() -> None:
        async with serving(observer=observer) as server:
            client = await server.connect()
            client.send_text(frame)
            client.ask("say Hello.")
            assert (await client.until("response.done"))["response"]["status"] == "completed"
            assert [event["error"]["code"] for event in client.of_type("error")] == [code]
            client.hang_up()
            await server.all_ended()

    run_virtual(main())
    assert observer.codes == [code]
    assert (observer.ended[0].errors, observer.ended[0].outcome) == (1, "closed")


def test_the_error_of_refused_audio_names_its_event() -> None:
    async def main() -> None:
        async with serving() as server:
            client = await server.connect()
            client.send_text(_append(base64.b64encode(b"odd").decode(), event_id="mine"))
            error = (await client.until("error"))["error"]
            assert (error["event_id"], error["param"]) == ("mine", "audio")
            client.hang_up()

    run_virtual(main())


def test_refused_audio_is_not_heard() -> None:
    async def main() -> None:
        async with serving() as server:
            client = await server.connect()
            client.update(audio={"input": {"turn_detection": None}})
            client.send_text(_append(base64.b64encode(bytes(48_001)).decode()))
            client.say("input_audio_buffer.commit")
            await client.until("error", 2)
            assert client.events[-1]["error"]["code"] == "input_audio_buffer_commit_empty"
            client.hang_up()

    run_virtual(main())


def test_unknown_fields_are_noted_once_each_and_not_without_end() -> None:
    observer = Noted()

    async def main() -> None:
        async with serving(observer=observer) as server:
            client = await server.connect()
            for _ in range(3):
                client.say("input_audio_buffer.clear", colour="red", shade="dark")
            for number in range(200):
                client.say("input_audio_buffer.clear", **{f"made_up_{number}": 1})
            await client.until("input_audio_buffer.cleared", 203)
            client.hang_up()

    run_virtual(main())
    assert sorted(observer.unknown[:2]) == ["colour", "shade"]
    assert len(observer.unknown) == len(set(observer.unknown)) == 64


def test_in_strict_mode_unknown_fields_are_refused() -> None:
    async def main() -> None:
        async with serving(settings=RuntimeSettings(strict=True)) as server:
            client = await server.connect()
            client.say("input_audio_buffer.clear", colour="red")
            assert (await client.until("error"))["error"]["code"] == "unknown_parameter"
            client.hang_up()

    run_virtual(main())


# --- pace ----------------------------------------------------------------------------------------------------------


def test_a_burst_is_taken_at_once_and_what_is_more_in_time() -> None:
    pace = Pace(100, now=0.0)
    assert [pace.step(0.0) for _ in range(200)] == [0.0] * 200
    assert pace.step(0.0) == pytest.approx(0.01)
    assert pace.step(0.0) == pytest.approx(0.02)


def test_an_idle_client_saves_up_two_seconds_of_events_and_no_more() -> None:
    pace = Pace(100, now=0.0)
    assert [pace.step(3600.0) for _ in range(200)] == [0.0] * 200
    assert pace.step(3600.0) > 0


def test_events_beyond_the_pace_are_answered_later_and_none_is_lost() -> None:
    async def main() -> None:
        async with serving(settings=RuntimeSettings(events_per_s=10)) as server:
            client, other = await server.connect(), await server.connect()
            for _ in range(120):
                client.say("input_audio_buffer.clear")
            await client.until("input_audio_buffer.cleared", 20)
            assert asyncio.get_running_loop().time() == pytest.approx(0)
            other.say("input_audio_buffer.clear")
            await other.until("input_audio_buffer.cleared")
            assert asyncio.get_running_loop().time() == pytest.approx(0)
            await client.until("input_audio_buffer.cleared", 120)
            assert asyncio.get_running_loop().time() == pytest.approx(10, abs=0.2)
            client.hang_up()
            other.hang_up()

    run_virtual(main())


def test_a_burst_of_events_leaves_turns_to_others() -> None:
    async def main() -> None:
        async with serving() as server:
            client, other = await server.connect(), await server.connect()
            for _ in range(1000):
                client.say("input_audio_buffer.clear")
            other.say("input_audio_buffer.clear")
            await other.until("input_audio_buffer.cleared")
            assert len(client.of_type("input_audio_buffer.cleared")) < 100
            await client.until("input_audio_buffer.cleared", 1000)
            for each in (client, other):
                each.hang_up()

    run_virtual(main())


# --- the budget of large frames ------------------------------------------------------------------------------------


async def _hold(budget: ByteBudget, size: int, held_s: float, log: list[str], name: str) -> None:
    async with budget.hold(size):
        log.append(name)
        await asyncio.sleep(held_s)


def test_what_does_not_fit_the_budget_waits_its_turn() -> None:
    log: list[str] = []

    async def main() -> None:
        budget = ByteBudget(100)
        async with asyncio.TaskGroup() as tasks:
            for name, size in (("a", 60), ("b", 60), ("c", 10), ("d", 500)):
                tasks.create_task(_hold(budget, size, 1.0, log, f"{name}"))
            await asyncio.sleep(0.5)
            # Small ones do not overtake for ever: "c" would fit.
            assert (log, budget.held_bytes) == (["a"], 60)
            await asyncio.sleep(1)
            assert (log, budget.held_bytes) == (["a", "b", "c"], 70)
            await asyncio.sleep(1)
            assert (log, budget.held_bytes) == (["a", "b", "c", "d"], 100)
        assert budget.held_bytes == 0

    run_virtual(main())


@pytest.mark.parametrize("cancelled_at_s", [0.5, 1.0, 1.5])
def test_a_wait_or_hold_that_is_cancelled_gives_its_bytes_back(cancelled_at_s: float) -> None:
    log: list[str] = []

    async def main() -> None:
        budget = ByteBudget(100)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_hold(budget, 60, 1.0, log, "a"))
            cancelled = tasks.create_task(_hold(budget, 60, 10.0, log, "b"))
            tasks.create_task(_hold(budget, 30, 0.1, log, "c"))
            await asyncio.sleep(cancelled_at_s)
            cancelled.cancel()
        assert budget.held_bytes == 0
        assert set(log) >= {"a", "c"}
        assert asyncio.get_running_loop().time() < 2

    run_virtual(main())


def test_large_frames_share_the_budget_and_small_ones_do_not_need_it() -> None:
    """A frame that is being heard holds its share; another session's large frame waits, its small ones pass."""

    async def main() -> None:
        settings = RuntimeSettings(decode_budget_bytes=100_000)
        async with serving(settings=settings) as server:
            first, second, third = [await server.connect() for _ in range(3)]
            for client in (first, second):
                client.append(silence_ms(60_000))
                client.say("input_audio_buffer.clear")
            third.say("input_audio_buffer.clear")
            await third.until("input_audio_buffer.cleared")
            await first.until("input_audio_buffer.cleared")
            assert second.types() == ["session.created"]
            await second.until("input_audio_buffer.cleared")
            for client in (first, second, third):
                client.hang_up()

    run_virtual(main())
