"""Who may draft: places that the sessions of one process share, so that what may be for nothing costs nobody anything.

A draft is worth what the machine can spare. There are so many *places*, and whoever generates an answer on this machine
takes one without asking; drafts get what is left, in the order in which they were sought. Where answers take more than
is free, those who sought last lose their place first, and with it what they still compute; they get it back as soon as
there is room. While the process cannot keep up with what it is sent there are no places at all.
"""

import asyncio
from collections.abc import Callable
from itertools import count

__all__ = ["DraftPlace", "DraftPlaces"]


class DraftPlaces:
    """The places of a process."""

    def __init__(self, places: int, *, shared: bool = True) -> None:
        """``shared``: the language model computes on this machine, where all that generate are in each other's way."""
        self._places = places
        self._shared = shared
        self._strained = False
        self._members: dict[DraftPlace, None] = {}
        self.numbers = count(1)
        """In which order places are sought."""
        self.prefilling = asyncio.Lock()
        """Held while a prompt is read ahead."""

    def join(
        self, *, granted: Callable[[str], None], dropped: Callable[[], None], hush: Callable[[], None]
    ) -> "DraftPlace":
        """A session's own place, which it has to ``close``.

        ``granted``: the item has its place now; ``dropped``: the place is lost; ``hush``: somebody begins to generate
        where prompts are read ahead. None of them may raise; the first two are called from the event loop.
        """
        place = DraftPlace(self, granted, dropped, hush)
        self._members[place] = None
        return place

    def leave(self, place: "DraftPlace") -> None:
        self._members.pop(place, None)
        self.settle()

    def busy_for(self, place: "DraftPlace") -> bool:
        """Whether somebody generates who has to be given way."""
        return any(member.generates for member in (self._members if self._shared else (place,)))

    def hush(self, place: "DraftPlace") -> None:
        for member in self._members if self._shared else (place,):
            member.hush()

    def strain(self, strained: bool) -> None:
        """Whether the process falls behind: whoever drafts loses the place at once, and has it again afterwards."""
        if strained != self._strained:
            self._strained = strained
            self.settle()

    def settle(self) -> None:
        """What has changed is followed by who holds a place."""
        while len(self._taken()) > self._free and (losers := self._losers()):
            losers[-1].lose()
        for place in sorted(self._members, key=lambda member: member.since):
            if place.waits and self._has_room_for(place):
                place.take()

    @property
    def _free(self) -> int:
        """So many places there are now."""
        return 0 if self._strained else self._places

    def _has_room_for(self, place: "DraftPlace") -> bool:
        return len(self._taken() - {place}) < self._free

    def _taken(self) -> "set[DraftPlace]":
        return {member for member in self._members if member.holds or (self._shared and member.answers)}

    def _losers(self) -> "list[DraftPlace]":
        """Those whose loss makes room, the last that came last."""
        members = [member for member in self._members if member.holds and not (self._shared and member.answers)]
        return sorted(members, key=lambda member: member.since)


class DraftPlace:
    """What one session has of the places: at most one, however many of its items seek it."""

    def __init__(
        self,
        places: DraftPlaces,
        granted: Callable[[str], None],
        dropped: Callable[[], None],
        hush: Callable[[], None],
    ) -> None:
        self._places = places
        self._granted = granted
        self._dropped = dropped
        self.hush = hush
        self._items: dict[str, bool] = {}
        """Those that sought and have not ended, and whether they were told that they have a place."""
        self._generating: dict[str, bool] = {}
        """The responses that are being generated, and whether they are drafts."""
        self._closed = False
        self.holds = False
        self.since = 0
        """Its number among those that were sought."""

    @property
    def waits(self) -> bool:
        return bool(self._items) and not self.holds

    @property
    def generates(self) -> bool:
        return bool(self._generating)

    @property
    def answers(self) -> bool:
        """Whether something is generated that is no draft."""
        return not all(self._generating.values())

    @property
    def is_quiet(self) -> bool:
        """Whether a prompt may be read ahead now."""
        return self.holds and not self._places.busy_for(self)

    # --- a place ---------------------------------------------------------------------------------------------------

    def seek(self, item_id: str) -> None:
        """A place for the item, now or as soon as there is one."""
        if self._closed:
            return
        if not self._items:
            self.since = next(self._places.numbers)
        self._items[item_id] = False
        if self.holds:
            self._tell()
        else:
            self._places.settle()

    def end(self, item_id: str) -> None:
        self._items.pop(item_id, None)
        if not self._items and self.holds:
            self.holds = False
            self.hush()
            self._places.settle()

    def close(self) -> None:
        """The session is over."""
        self._closed = True
        self._items.clear()
        self._generating.clear()
        self.holds = False
        self._places.leave(self)

    def take(self) -> None:
        self.holds = True
        self._tell()

    def lose(self) -> None:
        self.holds = False
        self.hush()
        # Another session's order has led to it, which comes first.
        asyncio.get_running_loop().call_soon(self._lost)

    def _lost(self) -> None:
        if not self._closed and not self.holds:
            self._dropped()

    def _tell(self) -> None:
        for item_id in [item_id for item_id, told in self._items.items() if not told]:
            self._items[item_id] = True
            asyncio.get_running_loop().call_soon(self._tell_of, item_id)

    def _tell_of(self, item_id: str) -> None:
        if item_id in self._items and self.holds:
            self._granted(item_id)

    # --- generating ------------------------------------------------------------------------------------------------

    def begins(self, response_id: str, *, draft: bool) -> None:
        """A response begins to be generated, or a draft is one like any other from now on."""
        self._generating[response_id] = draft
        self._places.hush(self)
        if not draft:
            self._places.settle()

    def ends(self, response_id: str) -> None:
        if self._generating.pop(response_id, None) is False:
            self._places.settle()
