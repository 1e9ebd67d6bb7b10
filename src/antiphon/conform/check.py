"""What a check is, and how it says what it found."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from antiphon.conform.probe import Probe

__all__ = [
    "BlockedError",
    "Check",
    "Event",
    "Level",
    "Need",
    "NotApplicableError",
    "RuleError",
    "Rules",
    "Run",
    "require",
]

Event = Mapping[str, Any]
Run = Callable[["Probe"], Awaitable[None]]


class Need(StrEnum):
    """What a server has to have for a check to be possible, beside the protocol itself."""

    SCRIPT = "scripted model"
    SPEECH = "speech recognition"
    VOICE = "speech synthesis"
    TOOLS = "function calls"
    IMAGES = "images"
    MCP = "tools on remote servers"
    SECRETS = "client secrets"
    TIME = "several seconds"


class Level(StrEnum):
    REQUIRED = "required"
    """Documented, recorded from the hosted API, or what its clients depend on."""
    RECOMMENDED = "recommended"
    """Not settled by the reference: reported, and counted only on demand."""


@dataclass(frozen=True, slots=True)
class Check:
    id: str
    """``group.name``."""
    title: str
    """The rule, as a sentence."""
    source: str
    """Where the rule stands."""
    run: Run
    needs: frozenset[Need] = frozenset()
    level: Level = Level.REQUIRED
    observes: bool = False
    """It judges what all other checks received, after them."""

    @property
    def group(self) -> str:
        return self.id.partition(".")[0]


class RuleError(Exception):
    """The server broke the rule."""

    def __init__(self, expected: str, got: object, event: Event | None = None) -> None:
        super().__init__(expected, got)
        self.expected = expected
        self.got = got
        self.event = event


class BlockedError(Exception):
    """The check could not be made, because what prepares it failed; the reason names that."""


class NotApplicableError(Exception):
    """The check says nothing about this server; the reason says why."""


def require(condition: object, expected: str, got: object, event: Event | None = None) -> None:
    """Raise ``RuleError`` unless the condition holds."""
    if not condition:
        raise RuleError(expected, got, event)


class Rules:
    """Collects the checks of one group."""

    def __init__(self, group: str, title: str) -> None:
        self.group = group
        self.title = title
        self.checks: list[Check] = []

    def check(
        self, name: str, title: str, source: str, *needs: Need, level: Level = Level.REQUIRED
    ) -> Callable[[Run], Run]:
        """Decorate the function that makes the check ``group.name``."""

        def keep(run: Run) -> Run:
            self.add(name, title, source, run, needs, level)
            return run

        return keep

    def add(
        self,
        name: str,
        title: str,
        source: str,
        run: Run,
        needs: Sequence[Need] = (),
        level: Level = Level.REQUIRED,
        *,
        observes: bool = False,
    ) -> None:
        """One check whose function was made elsewhere, say from the row of a table."""
        found = Check(f"{self.group}.{name}", title, source, run, frozenset(needs), level, observes)
        assert found.id not in {one.id for one in self.checks}, found.id
        self.checks.append(found)
