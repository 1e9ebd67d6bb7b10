"""Places for drafts: how many, who gets one when, who loses it first, and that none is lost for good."""

from collections.abc import Coroutine

import pytest

from antiphon.runtime.draft_places import DraftPlace, DraftPlaces
from antiphon.testing.clock import run_virtual
from tests.support.work import turns_passed


class Member:
    """A session that notes what it is told."""

    def __init__(self, places: DraftPlaces) -> None:
        self.granted: list[str] = []
        self.dropped = 0
        self.hushed = 0
        self.place: DraftPlace = places.join(granted=self.granted.append, dropped=self._drop, hush=self._hush)

    def _drop(self) -> None:
        self.dropped += 1

    def _hush(self) -> None:
        self.hushed += 1

    async def seek(self, item_id: str) -> bool:
        self.place.seek(item_id)
        await turns_passed()
        return item_id in self.granted


def _run(main: Coroutine[None, None, None]) -> None:
    run_virtual(main)


def test_two_sessions_and_one_place_the_second_waits_until_the_first_is_done() -> None:
    async def main() -> None:
        places = DraftPlaces(1)
        first, second, third = Member(places), Member(places), Member(places)
        assert await first.seek("a")
        assert not await second.seek("b")
        assert not await third.seek("c")
        first.place.end("a")
        await turns_passed()
        assert (second.granted, third.granted) == (["b"], [])
        second.place.end("b")
        third.place.end("c")
        await turns_passed()
        assert third.granted == [], "its turn was over before there was room"

    _run(main())


def test_without_places_nobody_drafts() -> None:
    async def main() -> None:
        assert not await Member(DraftPlaces(0)).seek("a")

    _run(main())


def test_a_session_has_one_place_for_all_its_items() -> None:
    async def main() -> None:
        places = DraftPlaces(2)
        first, second, third = Member(places), Member(places), Member(places)
        assert await first.seek("a")
        assert await first.seek("b")
        assert await second.seek("c")
        first.place.end("a")
        assert not await third.seek("d"), "the other item still has the place"
        first.place.end("b")
        await turns_passed()
        assert third.granted == ["d"]

    _run(main())


def test_a_session_that_ends_leaves_its_place_whatever_it_was_doing() -> None:
    async def main() -> None:
        places = DraftPlaces(1)
        first, second = Member(places), Member(places)
        assert await first.seek("a")
        first.place.begins("resp", draft=True)
        first.place.close()
        assert await second.seek("b")
        assert not await first.seek("late"), "an order that was still under way"
        first.place.close()

    _run(main())


@pytest.mark.parametrize(("shared", "granted"), [(True, False), (False, True)])
def test_whoever_is_answered_takes_a_place_where_the_model_computes_on_this_machine(
    shared: bool, granted: bool
) -> None:
    async def main() -> None:
        places = DraftPlaces(1, shared=shared)
        answered, speaking = Member(places), Member(places)
        answered.place.begins("resp", draft=False)
        assert await speaking.seek("a") is granted
        answered.place.ends("resp")
        await turns_passed()
        assert speaking.granted == ["a"]

    _run(main())


def test_the_own_answer_does_not_keep_a_session_from_drafting_the_next() -> None:
    async def main() -> None:
        member = Member(DraftPlaces(1))
        member.place.begins("resp", draft=False)
        assert await member.seek("a")
        assert not member.dropped

    _run(main())


def test_under_pressure_the_newest_draft_goes_first_and_comes_back_without_being_told_twice() -> None:
    async def main() -> None:
        places = DraftPlaces(2)
        older, newer, answered = Member(places), Member(places), Member(places)
        assert await older.seek("a")
        assert await newer.seek("b")
        answered.place.begins("resp", draft=False)
        assert (older.place.holds, newer.place.holds) == (True, False)
        assert newer.dropped == 0, "not from within another session's order"
        await turns_passed()
        assert (older.dropped, newer.dropped) == (0, 1)
        answered.place.ends("resp")
        await turns_passed()
        assert newer.place.holds
        assert newer.granted == ["b"]

    _run(main())


@pytest.mark.parametrize("shared", [True, False])
def test_while_the_process_falls_behind_there_are_no_places_and_afterwards_as_before(shared: bool) -> None:
    async def main() -> None:
        places = DraftPlaces(2, shared=shared)
        drafting, late = Member(places), Member(places)
        assert await drafting.seek("a")
        places.strain(True)
        await turns_passed()
        assert (drafting.place.holds, drafting.dropped, bool(drafting.hushed)) == (False, 1, True)
        assert not await late.seek("b")
        places.strain(False)
        await turns_passed()
        assert drafting.place.holds
        assert (drafting.granted, late.granted) == (["a"], ["b"])

    _run(main())


def test_an_answer_goes_on_while_the_process_falls_behind_and_only_then_loses_its_place_for_drafts() -> None:
    async def main() -> None:
        places = DraftPlaces(1)
        member = Member(places)
        assert await member.seek("a")
        member.place.begins("resp", draft=True)
        member.place.begins("resp", draft=False)
        places.strain(True)
        await turns_passed()
        assert (member.place.holds, member.dropped) == (True, 0)
        member.place.ends("resp")
        await turns_passed()
        assert (member.place.holds, member.dropped) == (False, 1)

    _run(main())


def test_an_adopted_draft_counts_as_an_answer() -> None:
    async def main() -> None:
        places = DraftPlaces(1)
        first, second = Member(places), Member(places)
        assert await first.seek("a")
        first.place.begins("resp", draft=True)
        first.place.begins("resp", draft=False)
        first.place.end("a")
        assert not await second.seek("b")
        first.place.ends("resp")
        await turns_passed()
        assert second.granted == ["b"]

    _run(main())


@pytest.mark.parametrize(("shared", "quiet"), [(True, False), (False, True)])
def test_prompts_are_read_ahead_only_while_nobody_generates_who_is_in_the_way(shared: bool, quiet: bool) -> None:
    async def main() -> None:
        places = DraftPlaces(2, shared=shared)
        reading, other = Member(places), Member(places)
        assert not reading.place.is_quiet, "it has no place"
        assert await reading.seek("a")
        assert reading.place.is_quiet
        other.place.begins("draft", draft=True)
        assert reading.place.is_quiet is quiet
        assert bool(reading.hushed) is not quiet
        other.place.ends("draft")
        assert reading.place.is_quiet
        reading.place.begins("own", draft=True)
        assert not reading.place.is_quiet
        assert reading.hushed

    _run(main())


def test_a_place_that_is_given_back_ends_what_was_read_ahead() -> None:
    async def main() -> None:
        member = Member(DraftPlaces(1))
        assert await member.seek("a")
        member.place.end("a")
        assert member.hushed == 1

    _run(main())
