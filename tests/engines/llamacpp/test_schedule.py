"""Whose turn it is, as tables of what happens and who runs then."""

from collections.abc import Sequence

import pytest

from antiphon.engines.base import Draft
from antiphon.engines.llamacpp.schedule import Job, Rank, Schedule, ScheduleLimits
from antiphon.engines.llamacpp.slots import Slots, shared_tokens

LIMITS = ScheduleLimits(short_tokens=10, turn_s=1.0, patience_s=3.0, queue_limit=3)

SHORT = 5
LONG = 100


class Scene:
    """Jobs by name, on one schedule."""

    def __init__(self, slots: int = 4) -> None:
        self.slots = Slots(slots)
        self.schedule = Schedule(self.slots, LIMITS)
        self.jobs: dict[str, Job] = {}
        self.ended: set[str] = set()

    def do(self, now_s: float, action: str) -> None:
        verb, name, *what = action.split()
        match verb:
            case "want":
                self.schedule.want(self._job(name, *what), now_s)
            case "answers":
                self.schedule.wrote(self.jobs[name], now_s)
            case "park":
                self.schedule.park(self.jobs[name])
            case "adopt":
                draft = self.jobs[name].draft
                assert draft is not None
                draft.adopted = True
            case "end":
                self.schedule.remove(self.jobs[name])
                self.ended.add(name)
            case _:
                raise AssertionError(action)

    def turn(self, now_s: float) -> str:
        """Who runs after everybody who has to give way did so."""
        if self.schedule.must_yield(now_s):
            running = self.schedule.running
            assert running is not None
            self.schedule.park(running)
            if running.ahead:
                self.schedule.remove(running)
            else:
                started = self.schedule.next(now_s)
                self.schedule.want(running, now_s)
                assert started is not None, "it gave way to nobody"
        self.schedule.next(now_s)
        running = self.schedule.running
        return next((name for name, job in self.jobs.items() if job is running), "-")

    def _job(self, name: str, kind: str = "") -> Job:
        if name not in self.jobs:
            start = 1000 * len(self.jobs)
            size = SHORT if "short" in kind else LONG
            self.jobs[name] = Job(
                name,
                range(start, start + size),
                ahead="ahead" in kind,
                whole="whole" in kind,
                draft=Draft() if "draft" in kind else None,
            )
        return self.jobs[name]


Step = tuple[float, str, str]
"""When, what happens, and who runs then."""

RULES: dict[str, Sequence[Step]] = {
    "one at a time": [(0, "want a short", "a"), (0, "want b short", "a"), (0.1, "end a", "b"), (0.2, "end b", "-")],
    "short prompts are served in the order of their coming": [
        (0.0, "want a short", "a"),
        (0.1, "want c short", "a"),
        (0.2, "want b short", "a"),
        (0.3, "end a", "c"),
    ],
    "a short prompt goes before a long one": [
        (0.0, "want a short", "a"),
        (0.1, "want b long", "a"),
        (0.2, "want c short", "a"),
        (0.3, "end a", "c"),
        (0.4, "end c", "b"),
    ],
    "a long prompt gives way to a short one at once and goes on": [
        (0.0, "want a long", "a"),
        (0.1, "want b short", "b"),
        (0.2, "end b", "a"),
    ],
    "a long prompt does not give way to another long one": [(0, "want a long", "a"), (0.1, "want b long", "a")],
    "a short prompt gives way to nobody": [(0.0, "want a short", "a"), (2.0, "want b short", "a")],
    "an answer gives way after its turn": [
        (0.0, "want a short", "a"),
        (0.1, "answers a", "a"),
        (0.2, "want b short", "a"),
        (1.0, "answers a", "a"),
        (1.1, "answers a", "b"),
    ],
    "an answer writes at least one token in its turn": [
        (0.0, "want a short", "a"),
        (0.0, "want b short", "a"),
        (9.0, "want c short", "a"),
        (9.1, "answers a", "a"),
        (10.1, "answers a", "b"),
    ],
    "an answer that nobody waits behind goes on": [
        (0, "want a short", "a"),
        (0.1, "answers a", "a"),
        (9, "answers a", "a"),
    ],
    "answers take turns": [
        (0.0, "want a short", "a"),
        (0.0, "answers a", "a"),
        (0.5, "want b short", "a"),
        (1.0, "answers a", "b"),
        (1.0, "answers b", "b"),
        (2.0, "answers b", "a"),
        (2.1, "answers a", "a"),
        (3.1, "answers a", "b"),
    ],
    "an interrupted answer goes before a long prompt": [
        (0.0, "want a short", "a"),
        (0.0, "answers a", "a"),
        (0.1, "want b short", "a"),
        (0.2, "want c long", "a"),
        (1.0, "answers a", "b"),
        (1.1, "end b", "a"),
        (1.2, "end a", "c"),
    ],
    "whoever has waited long enough goes first, and keeps a turn": [
        (0.0, "want a short", "a"),
        (0.0, "want b long", "a"),
        (2.9, "want c short", "a"),
        (3.0, "end a", "b"),
        (3.1, "want d short", "b"),
        (4.0, "want d short", "c"),
    ],
    "a forced answer is not interrupted": [
        (0.0, "want a short,whole", "a"),
        (0.0, "answers a", "a"),
        (0.1, "want b short", "a"),
        (9.0, "answers a", "a"),
        (9.1, "end a", "b"),
    ],
    "a forced answer's long prompt is interrupted": [(0.0, "want a long,whole", "a"), (0.1, "want b short", "b")],
    "a prompt read ahead is dropped when somebody wants an answer": [
        (0.0, "want a long,ahead", "a"),
        (0.1, "want b long", "b"),
        (0.2, "end b", "-"),
    ],
    "a prompt read ahead gives way to a newer one": [(0, "want a long,ahead", "a"), (0.1, "want b long,ahead", "b")],
    "a draft runs while nobody wants an answer, before what is read ahead": [
        (0.0, "want a short,draft", "a"),
        (0.1, "want b short,ahead", "a"),
        (0.2, "want c short,draft", "a"),
        (0.3, "end a", "c"),
        (0.4, "end c", "b"),
    ],
    "a prompt read ahead is dropped for a draft": [(0.0, "want a long,ahead", "a"), (0.1, "want b long,draft", "b")],
    "a draft gives way to any answer at once, and goes on after it": [
        (0.0, "want a short,draft", "a"),
        (0.0, "answers a", "a"),
        (0.1, "want b long", "b"),
        (0.2, "end b", "a"),
    ],
    "a draft goes behind all answers, however long it has waited": [
        (0.0, "want a short", "a"),
        (0.0, "want b short,draft", "a"),
        (5.0, "want c long", "a"),
        (5.1, "end a", "c"),
        (9.0, "want d short", "d"),
        (9.1, "end d", "c"),
        (9.2, "end c", "b"),
    ],
    "a forced draft gives way, too": [
        (0.0, "want a short,draft,whole", "a"),
        (0.0, "answers a", "a"),
        (0.1, "want b short", "b"),
    ],
    "no answer gives way to a draft": [
        (0.0, "want a short", "a"),
        (0.0, "answers a", "a"),
        (0.1, "want b short,draft", "a"),
        (9.0, "answers a", "a"),
    ],
    "an adopted draft runs on": [
        (0.0, "want a short,draft", "a"),
        (0.1, "adopt a", "a"),
        (0.2, "want b short", "a"),
        (0.3, "answers a", "a"),
        (1.2, "answers a", "a"),
        (1.3, "answers a", "b"),
    ],
    "a draft that is adopted while it waits has its place among the answers": [
        (0.0, "want a short", "a"),
        (0.1, "want b short,draft", "a"),
        (0.2, "want c short", "a"),
        (0.3, "adopt b", "a"),
        (0.4, "end a", "b"),
    ],
    "a parked job runs when it wants to": [
        (0.0, "want a short", "a"),
        (0.1, "park a", "-"),
        (0.2, "want b short", "b"),
        (0.3, "want a", "b"),
        (0.4, "end b", "a"),
    ],
    "what is over wants nothing": [(0.0, "want a short", "a"), (0.1, "end a", "-"), (0.2, "want b short", "b")],
}


@pytest.mark.parametrize("steps", RULES.values(), ids=RULES.keys())
def test_order_of_turns(steps: Sequence[Step]) -> None:
    scene = Scene()
    for now_s, action, runs in steps:
        scene.do(now_s, action)
        assert scene.turn(now_s) == runs, f"at {now_s} s, after {action!r}"


SLOT_RULES: dict[str, tuple[int, Sequence[Step]]] = {
    "a long prompt does not take the last free slot": (
        2,
        [
            (0.0, "want a long", "a"),
            (0.1, "want b long", "a"),
            (0.2, "park a", "-"),
            (0.3, "want c short", "c"),
            (0.4, "end a", "c"),
            (0.5, "end c", "b"),
        ],
    ),
    "a draft gives its slot up where there is no other": (
        1,
        [(0.0, "want a long,draft", "a"), (0.1, "want b long", "b"), (0.2, "end b", "a")],
    ),
    "a draft takes no slot from a job whose consumer has enough": (
        1,
        [(0.0, "want a short", "a"), (0.1, "park a", "-"), (0.2, "want b short,draft", "-"), (0.3, "end a", "b")],
    ),
    "with one slot everybody queues": (
        1,
        [(0.0, "want a long", "a"), (0.1, "want b short", "a"), (9.0, "answers a", "a"), (9.1, "end a", "b")],
    ),
    "a short prompt takes the slot of a job whose consumer has enough": (
        2,
        [
            (0.0, "want a short", "a"),
            (0.1, "park a", "-"),
            (0.2, "want b short", "b"),
            (0.3, "park b", "-"),
            (0.4, "want c short", "c"),
            (0.5, "want a", "c"),
            (0.6, "end c", "a"),
        ],
    ),
    "nobody takes the slot of a job that waits for its turn": (
        2,
        [
            (0.0, "want a short", "a"),
            (0.0, "answers a", "a"),
            (0.1, "want b short", "a"),
            (1.0, "answers a", "b"),
            (1.1, "want c short", "b"),
            (1.2, "end b", "c"),
        ],
    ),
}


@pytest.mark.parametrize(("slots", "steps"), SLOT_RULES.values(), ids=SLOT_RULES.keys())
def test_order_of_turns_with_few_slots(slots: int, steps: Sequence[Step]) -> None:
    scene = Scene(slots)
    for now_s, action, runs in steps:
        scene.do(now_s, action)
        assert scene.turn(now_s) == runs, f"at {now_s} s, after {action!r}"
        bound = [job.slot.index for name, job in scene.jobs.items() if job.slot and name not in scene.ended]
        assert len(bound) == len(set(bound)), "two jobs share a slot"


def test_a_prompt_is_as_long_as_what_is_left_to_read_of_it() -> None:
    scene = Scene()
    slot = scene.slots.best("a", ())
    assert slot is not None
    scene.slots.bind(slot, "a")
    slot.tokens = range(90)
    ranks = {}
    for name, job in {
        "mostly read": Job("a", range(100)),
        "read by another session": Job("b", range(100)),
        "mostly kept": Job("b", range(100), stored=90),
        "different": Job("a", range(50, 150)),
    }.items():
        scene.schedule.want(job, 0.0)
        ranks[name] = job.rank
    assert ranks == {
        "mostly read": Rank.SHORT_PROMPT,
        "read by another session": Rank.LONG_PROMPT,
        "mostly kept": Rank.SHORT_PROMPT,
        "different": Rank.LONG_PROMPT,
    }


def test_more_waiting_jobs_than_allowed_fill_the_schedule() -> None:
    scene = Scene()
    fullness = []
    for name in "abcd":
        scene.do(0.0, f"want {name} short")
        scene.turn(0.0)
        fullness.append(scene.schedule.full)
    assert fullness == [False, False, False, True]
    scene.do(0.1, "end a")
    scene.turn(0.1)
    assert not scene.schedule.full


def test_a_schedule_is_idle_while_nobody_wants_an_answer() -> None:
    scene = Scene()
    assert scene.schedule.idle
    scene.do(0.0, "want a long,ahead")
    assert scene.schedule.idle
    scene.do(0.1, "want d short,draft")
    assert not scene.schedule.idle
    scene.do(0.2, "end d")
    scene.do(0.0, "want b short")
    assert not scene.schedule.idle


# --- slots -------------------------------------------------------------------------------------------------------


def test_a_session_keeps_its_slot_while_it_can() -> None:
    slots = Slots(2)
    places = []
    for session in ("a", "b", "a", "b", "c", "b", "a"):
        slot = slots.best(session, ())
        assert slot is not None
        slots.bind(slot, session)
        places.append(slot.index)
    first, second = places[0], places[1]
    assert places == [first, second, first, second, first, second, first]  # c takes the slot unused for longest


def test_of_its_own_slots_a_session_takes_the_one_that_shares_most() -> None:
    slots = Slots(3)
    taken: set[int] = set()
    for tokens in (range(5), range(9)):
        slot = slots.best("a", (), taken=taken)
        assert slot is not None
        slots.bind(slot, "a")
        slot.tokens = tokens
        taken.add(slot.index)
    best = slots.best("a", range(20))
    assert best is not None
    assert best.tokens == range(9)
    assert slots.best("a", range(20), taken={0, 1, 2}) is None


def test_a_new_process_has_empty_slots() -> None:
    slots = Slots(1)
    slot = slots.best("a", ())
    assert slot is not None
    slots.bind(slot, "a")
    slot.tokens = range(9)
    slots.forget()
    fresh = slots.best("a", ())
    assert fresh is not None
    assert (fresh.session_id, list(fresh.tokens)) == (None, [])


@pytest.mark.parametrize(
    ("held", "wanted", "shared"),
    [([], [1], 0), ([1], [], 0), ([1, 2, 3], [1, 2, 4, 3], 2), ([1, 2], [1, 2, 3], 2), ([2], [1, 2], 0)],
)
def test_shared_tokens_are_those_at_the_beginning(held: list[int], wanted: list[int], shared: int) -> None:
    assert shared_tokens(held, wanted) == shared
