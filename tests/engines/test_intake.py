"""Input that is awaited beside something else."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from antiphon.engines.intake import END, Intake
from antiphon.testing.clock import run_virtual


async def _counted(delay_s: float) -> AsyncIterator[int]:
    for value in range(3):
        await asyncio.sleep(delay_s)
        yield value


@pytest.mark.parametrize("other_s", [None, 0.5, 10.0])
def test_every_value_comes_once_and_in_order_whatever_is_awaited_beside_it(other_s: float | None) -> None:
    async def main() -> list[int]:
        intake = Intake(_counted(1.0))
        found = []
        while (value := await intake.next(_later(other_s))) is not END:
            if isinstance(value, int):
                found.append(value)
        await intake.aclose()
        return found

    def _later(delay_s: float | None) -> "asyncio.Future[None] | None":
        if delay_s is None:
            return None
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        loop.call_later(delay_s, future.set_result, None)
        return future

    assert run_virtual(main()) == [0, 1, 2]


def test_what_is_done_first_is_told_at_once_and_the_value_is_kept() -> None:
    async def main() -> tuple[object, float, object, float]:
        loop = asyncio.get_running_loop()
        other = loop.create_future()
        loop.call_later(0.25, other.set_result, None)
        intake = Intake(_counted(1.0))
        first, at_s = await intake.next(other), loop.time()
        second = await intake.next()
        await intake.aclose()
        return first, at_s, second, loop.time()

    assert run_virtual(main()) == (None, 0.25, 0, 1.0)


def test_closing_ends_what_was_asked_for() -> None:
    async def main() -> None:
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        intake = Intake(_counted(1000.0))
        assert await intake.next(done) is None
        await intake.aclose()

    run_virtual(main())


def test_an_error_of_the_input_comes_out() -> None:
    async def broken() -> AsyncIterator[int]:
        await asyncio.sleep(0)
        raise ValueError("x")
        yield 0

    async def main() -> None:
        other = asyncio.get_running_loop().create_future()
        intake = Intake(broken())
        with pytest.raises(ValueError, match="x"):
            await intake.next(other)
        await intake.aclose()

    run_virtual(main())
