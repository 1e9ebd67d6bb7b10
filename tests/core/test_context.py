"""What of a conversation fits into a prompt, and that the cut stays where it is."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.context import entry_tokens, fitting
from antiphon.core.conversation import Entry
from antiphon.protocol.items import InputText, Message
from antiphon.protocol.session_config import RetentionRatio, TokenLimits, Truncation


def measured(*tokens: int) -> list[Entry]:
    """Items that take so many tokens each; 8 of them are not words."""
    entries = [
        Entry(Message(role="user", content=[InputText(text=str(number))]), str(number)) for number in range(len(tokens))
    ]
    for entry, count in zip(entries, tokens, strict=True):
        entry.tokens = count - 8
    return entries


def retention(ratio: float, post_instructions: int | None = None) -> RetentionRatio:
    return RetentionRatio(retention_ratio=ratio, token_limits=TokenLimits(post_instructions=post_instructions))


@pytest.mark.parametrize(
    ("rule", "tokens", "budget", "truncation", "kept"),
    [
        ("what fits stays", (100, 100), 200, "auto", 2),
        ("the oldest goes first", (100, 100, 100), 250, retention(1.0), 2),
        ("auto keeps three fifths", (100,) * 11, 1000, "auto", 6),
        ("the newest stays, however long", (100, 900), 100, "auto", 1),
        ("even with no room at all", (100, 100), 0, "auto", 1),
        ("disabled drops nothing", (100, 900), 100, "disabled", 2),
        ("a ratio drops more at once", (100,) * 10, 900, retention(0.5), 4),
        ("but nothing while all fits", (100,) * 9, 900, retention(0.5), 9),
        ("a ratio of nothing keeps the newest alone", (100,) * 10, 900, retention(0.0), 1),
        ("a limit of its own counts where it is lower", (100,) * 10, 5000, retention(1.0, 300), 3),
        ("and not where it is higher", (100,) * 10, 500, retention(1.0, 9000), 5),
        ("a limit of nothing leaves the newest", (100,) * 10, 500, retention(0.5, 0), 1),
        ("one long item takes those before it along", (100, 100, 880, 100), 900, retention(1.0), 1),
    ],
)
def test_the_oldest_items_leave_a_prompt_that_is_too_long(
    rule: str, tokens: tuple[int, ...], budget: int, truncation: Truncation, kept: int
) -> None:
    entries = measured(*tokens)
    assert list(fitting(entries, budget_tokens=budget, truncation=truncation)) == entries[-kept:], rule


def test_nothing_fits_as_nothing() -> None:
    assert list(fitting([], budget_tokens=0, truncation="auto")) == []


@pytest.mark.parametrize(("truncation", "most"), [("auto", 26), (retention(0.5), 21), (retention(1.0), 92)])
def test_a_prompt_begins_with_the_same_item_until_it_is_full_again(truncation: Truncation, most: int) -> None:
    entries = measured(*[100] * 100)
    firsts = [fitting(entries[:end], budget_tokens=900, truncation=truncation)[0].id for end in range(1, 101)]
    assert len(set(firsts)) <= most
    assert firsts == sorted(firsts, key=int)


@pytest.mark.parametrize(
    ("truncation", "cuts", "tokens_read"),
    [(retention(0.5), 5, 19_980), ("auto", 7, 25_680), (retention(0.8), 12, 43_680), (retention(1.0), 72, 245_280)],
)
def test_the_figures_of_the_page_about_context(truncation: Truncation, cuts: int, tokens_read: int) -> None:
    """100 turns of two items; what an engine keeps of a prompt is what begins with the same item."""
    entries = measured(*[60] * 200)
    prompts = [fitting(entries[:end], budget_tokens=3_400, truncation=truncation) for end in range(2, 201, 2)]
    begins = [prompt[0].id for prompt in prompts]
    anew = [True, *(before != after for before, after in pairwise(begins))]
    assert sum(anew) - 1 == cuts
    assert (
        sum(sum(map(entry_tokens, one)) if new else 120 for one, new in zip(prompts, anew, strict=True)) == tokens_read
    )


@given(
    st.lists(st.integers(9, 400), max_size=40),
    st.integers(0, 1000),
    st.one_of(st.just("auto"), st.builds(retention, st.floats(0, 1), st.integers(0, 2000))),
)
def test_what_is_left_fits_or_is_one_item(tokens: list[int], budget: int, truncation: Truncation) -> None:
    entries = measured(*tokens)
    left = list(fitting(entries, budget_tokens=budget, truncation=truncation))
    assert left == entries[len(entries) - len(left) :]
    assert len(left) <= 1 or sum(map(entry_tokens, left)) <= budget
    assert bool(left) == bool(entries)
