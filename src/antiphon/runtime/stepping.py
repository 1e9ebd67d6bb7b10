"""The one way into a session's core: a fact at a time, whose orders are performed before the next, and time itself."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from antiphon.core.inputs import Input
from antiphon.core.outputs import Output
from antiphon.core.session import Session

__all__ = ["Stepping"]


class Stepping:
    """``run`` it in a task, so that the core is called when it wants to be."""

    def __init__(
        self, session: Session, perform: Callable[[Output], None], failed: Callable[[BaseException], None]
    ) -> None:
        """``failed`` is told of a defect of the core, or of whoever performs."""
        self._session = session
        self._perform = perform
        self._failed = failed
        self._facts: deque[Input | None] = deque()
        self._performing = False
        self._start = asyncio.get_running_loop().time()
        self._deadline: float | None = None
        """When the core wants to be called, as far as the timer knows."""
        self._deadline_moved = asyncio.Event()
        self._stopped = False

    @property
    def now(self) -> float:
        """Seconds since the session began."""
        return asyncio.get_running_loop().time() - self._start

    def stop(self) -> None:
        """The core is told nothing more; the orders of the present step are still performed."""
        self._stopped = True
        self._facts.clear()

    def handle(self, *facts: Input | None) -> None:
        """Never raises: whoever calls it may serve other sessions too. None: what is due by now.

        Facts that come up while orders are performed wait until these are.
        """
        if self._stopped:
            return
        self._facts.extend(facts)
        if self._performing:
            return
        self._performing = True
        try:
            while self._facts:
                for order in self._orders(self._facts.popleft()):
                    self._perform(order)
            if self._session.deadline != self._deadline:
                self._deadline_moved.set()
        except Exception as bug:
            self._facts.clear()
            self._failed(bug)
        finally:
            self._performing = False

    def _orders(self, fact: Input | None) -> Sequence[Output]:
        if fact is not None:
            return self._session.handle(fact, self.now)
        # A clock that rounds must not make it early, and so come back for ever.
        return self._session.tick(max(self.now, self._deadline or 0.0))

    async def run(self) -> None:
        """Until the session is closed."""
        while (deadline := self._session.deadline) is not None:
            self._deadline = deadline
            self._deadline_moved.clear()
            try:
                async with asyncio.timeout(deadline - self.now):
                    await self._deadline_moved.wait()
            except TimeoutError:
                self.handle(None)
