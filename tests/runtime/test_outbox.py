"""Events leave in order, bounded by bytes."""

import asyncio
from collections.abc import Sequence

import pytest

from antiphon.runtime.outbox import Outbox
from antiphon.runtime.transport import TransportClosedError
from antiphon.testing.clock import run_virtual


class Wire:
    """A connection that takes ``bytes_per_s``, or nothing while it is shut."""

    media = None

    def __init__(self, bytes_per_s: float = 1e12) -> None:
        self.bytes_per_s = bytes_per_s
        self.open = asyncio.Event()
        self.open.set()
        self.gone = False
        self.sent: list[bytes] = []
        self.at_once: list[list[int]] = []

    async def receive(self) -> str:
        raise NotImplementedError

    async def send(self, frames: Sequence[bytes]) -> None:
        await self.open.wait()
        if self.gone:
            raise TransportClosedError(clean=False)
        await asyncio.sleep(sum(map(len, frames)) / self.bytes_per_s)
        self.sent += frames
        self.at_once.append([len(frame) for frame in frames])

    async def close(self, code: int, reason: str) -> None:
        raise NotImplementedError


def test_events_leave_in_order_and_an_ended_outbox_sends_all_it_has() -> None:
    async def main() -> None:
        wire = Wire()
        outbox = Outbox(wire, 1000)
        frames = [b"%d" % number for number in range(50)]
        async with asyncio.TaskGroup() as tasks:
            for frame in frames[:20]:
                outbox.put(frame)
            running = tasks.create_task(outbox.run())
            await asyncio.sleep(1)
            for frame in frames[20:]:
                outbox.put(frame)
            outbox.end()
            await running
        assert wire.sent == frames

    run_virtual(main())


def test_small_events_that_wait_leave_together_and_large_ones_alone() -> None:
    async def main() -> None:
        wire = Wire()
        outbox = Outbox(wire, 1_000_000)
        sizes = [300, 16_000, 84, 1, 20_000, 5]
        for size in sizes:
            outbox.put(bytes(size))
        outbox.end()
        await outbox.run()
        assert [len(frame) for frame in wire.sent] == sizes
        assert wire.at_once == [[300, 16_000, 84], [1], [20_000], [5]]

    run_virtual(main())


def test_what_is_being_sent_counts_until_it_is_sent() -> None:
    async def main() -> None:
        wire = Wire()
        wire.open.clear()
        outbox = Outbox(wire, 100)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(outbox.run())
            outbox.put(bytes(60))
            await asyncio.sleep(1)
            assert not outbox.full
            outbox.put(bytes(41))
            assert outbox.full
            wire.open.set()
            await asyncio.sleep(1)
            assert not outbox.full
            running.cancel()

    run_virtual(main())


def test_a_producer_is_held_back_while_the_client_reads_slowly() -> None:
    async def main() -> None:
        wire = Wire(bytes_per_s=100)
        outbox = Outbox(wire, 1000)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(outbox.run())
            for _ in range(60):
                outbox.put(bytes(100))
                await outbox.room()
                assert not outbox.full
            assert asyncio.get_running_loop().time() == pytest.approx(55, abs=1)
            running.cancel()

    run_virtual(main())


def test_a_producer_is_not_held_back_by_a_client_that_reads_nothing() -> None:
    """It goes on, fills the outbox, and so ends the session."""

    async def main() -> None:
        wire = Wire()
        wire.open.clear()
        outbox = Outbox(wire, 1000)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(outbox.run())
            produced = 0
            while not outbox.full:
                outbox.put(bytes(100))
                produced += 1
                await outbox.room()
            assert (produced, asyncio.get_running_loop().time()) == (11, 5)
            running.cancel()

    run_virtual(main())


def test_a_client_that_reads_again_holds_producers_back_again() -> None:
    async def main() -> None:
        wire = Wire(bytes_per_s=100)
        wire.open.clear()
        outbox = Outbox(wire, 1000)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(outbox.run())
            for _ in range(8):
                outbox.put(bytes(100))
            await outbox.room()
            assert asyncio.get_running_loop().time() == 5
            wire.open.set()
            await asyncio.sleep(1.5)
            await outbox.room()
            assert asyncio.get_running_loop().time() == pytest.approx(8)
            running.cancel()

    run_virtual(main())


def test_a_connection_that_is_gone_is_told() -> None:
    async def main() -> None:
        wire = Wire()
        wire.gone = True
        outbox = Outbox(wire, 1000)
        outbox.put(b"1")
        with pytest.raises(TransportClosedError):
            await outbox.run()

    run_virtual(main())


def test_it_says_when_what_was_put_so_far_is_sent() -> None:
    async def main() -> None:
        wire = Wire(bytes_per_s=1000)
        outbox = Outbox(wire, 10_000)
        loop = asyncio.get_running_loop()
        told: list[tuple[str, float]] = []

        def tell(name: str) -> None:
            outbox.when_sent(lambda: told.append((name, round(loop.time() - start, 3))))

        start = loop.time()
        tell("nothing waits")
        outbox.put(b"x" * 500)
        tell("first")
        outbox.put(b"x" * 9_000)
        tell("second")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(outbox.run())
            outbox.end()
        assert told == [("nothing waits", 0.0), ("first", 0.5), ("second", 9.5)]

    run_virtual(main())


def test_of_what_is_forgotten_nobody_is_told() -> None:
    async def main() -> None:
        outbox = Outbox(Wire(), 1_000)
        told: list[str] = []
        outbox.put(b"x" * 500)
        outbox.when_sent(lambda: told.append("forgotten"))
        outbox.forget()
        outbox.put(b"x" * 900)
        outbox.when_sent(lambda: told.append("sent"))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(outbox.run())
            outbox.end()
        assert told == ["sent"]

    run_virtual(main())
