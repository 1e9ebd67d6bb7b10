"""What of a conversation a prompt holds: the oldest items leave where the model's context is too short for all.

Sizes are the model's own counts where it has given them, careful estimates until then. All of it is computed anew for
each response from the items alone, yet the cut stays where it is for several turns (see ``fitting``).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from antiphon.core.conversation import Entry
from antiphon.core.limits import Limits
from antiphon.core.prompt import estimated_tokens, item_text
from antiphon.core.response_plan import ResponsePlan
from antiphon.protocol.base import given
from antiphon.protocol.session_config import RetentionRatio, TokenLimits, Truncation
from antiphon.vocabulary.llm import ToolSpec

__all__ = ["TOKENS_PER_ITEM", "Room", "entry_tokens", "fitting", "room_for"]

TOKENS_PER_ITEM = 8
"""What an item takes beside its words: its role, and the marks around it."""
_MARGIN = 32
"""One part in so many of the context stays free: templates and tool descriptions are estimated."""
_AUTO_RETENTION = 0.6
"""Of ``auto``. Whatever stands before the newest items is read once and then kept by the engine, as long as the prompt
begins with the same items: a cut that moves with every turn would have the whole prompt read anew in each."""


@dataclass(frozen=True, slots=True)
class Room:
    """The tokens of one generation."""

    fixed_tokens: int
    """Instructions and tools."""
    items_tokens: int
    """What is left for items."""
    most_tokens: int
    """What there would be for items without an answer."""

    def harder(self) -> "Room":
        """For a second attempt, after the engine found the prompt too long."""
        return replace(self, items_tokens=self.items_tokens // 2)

    def cannot_hold(self, entries: Sequence[Entry]) -> bool:
        """Whether the items are too long for certain: only the model's own counts are counted."""
        return sum(entry.tokens or 0 for entry in entries) > self.most_tokens


def room_for(plan: ResponsePlan, tools: Sequence[ToolSpec], limits: Limits) -> Room:
    """The context less the answer, the instructions, the tools and a margin."""
    limit = plan.max_output_tokens if isinstance(plan.max_output_tokens, int) else None
    answer = min(limit or limits.output_reserve_tokens, limits.context_tokens // 2)
    fixed = estimated_tokens(plan.instructions) + sum(
        estimated_tokens(f"{spec.name} {spec.description} {spec.parameters}") for spec in tools
    )
    left = limits.context_tokens - fixed
    return Room(fixed, max(0, left - limits.context_tokens // _MARGIN - answer), max(0, left))


def entry_tokens(entry: Entry) -> int:
    """What an item takes of the prompt: as measured, else estimated."""
    words = estimated_tokens(item_text(entry)) if entry.tokens is None else entry.tokens
    return words + TOKENS_PER_ITEM + entry.image_tokens


def fitting(entries: Sequence[Entry], *, budget_tokens: int, truncation: Truncation) -> Sequence[Entry]:
    """The newest entries within the budget; at least the newest one. With truncation disabled, all of them.

    The items are gone through in their order: each time that they have become too many, the oldest leave until the
    rest is the retention ratio of the budget. So the prompt goes on with the same first item until it is full again.
    """
    if truncation == "disabled":
        return entries
    ratio = _AUTO_RETENTION
    if isinstance(truncation, RetentionRatio):
        ratio = truncation.retention_ratio
        own = given(given(truncation.token_limits, TokenLimits()).post_instructions, budget_tokens)
        budget_tokens = min(budget_tokens, own)
    sizes = [entry_tokens(entry) for entry in entries]
    first = total = 0
    for index, size in enumerate(sizes):
        total += size
        if total <= budget_tokens:
            continue
        while total > budget_tokens * ratio and first < index:
            total -= sizes[first]
            first += 1
    return entries[first:]
