"""Tool calls in a model's text."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engines.llamacpp.call_syntax import NO_CALL_GRAMMAR, OPENERS
from antiphon.engines.llamacpp.tool_calls import ToolCallParser
from antiphon.vocabulary.llm import TextChunk, ToolCallChunk

NAMES = ("get_weather", "set_timer")
CALL = '{"name": "get_weather", "arguments": {"city": "Berlin"}}'
WEATHER = ("get_weather", '{"city": "Berlin"}')
TIMER = ("set_timer", '{"minutes": 5}')

Calls = list[tuple[str, str]]


def parse(pieces: list[str], *, several: bool = True, cut: bool = False) -> tuple[str, Calls]:
    """The whole text and the calls (name, arguments) that the pieces give."""
    parser = ToolCallParser(NAMES, several=several)
    found = [piece for text in pieces for piece in parser.feed(text)]
    found += parser.finish(cut=cut)
    text = "".join(piece.text for piece in found if isinstance(piece, TextChunk))
    calls: Calls = []
    for piece in found:
        if isinstance(piece, ToolCallChunk):
            if piece.index == len(calls):
                calls.append((piece.name, ""))
            name, arguments = calls[piece.index]
            assert piece.name == name
            calls[piece.index] = (name, arguments + piece.arguments_delta)
    assert parser.calls == len(calls)
    return text, calls


FORMS = {
    "bare object": CALL,
    "white space around": f"\n  {CALL}\n",
    "json fence": f"```json\n{CALL}\n```",
    "fence without label": f"```\n{CALL}\n```",
    "fence on one line": f"```json {CALL}```",
    "tool_call tags": f"<tool_call>\n{CALL}\n</tool_call>",
    "tools tags": f"<tools>{CALL}</tools>",
    "tags in a fence": f"```xml\n<tool_call>\n{CALL}\n</tool_call>\n```",
    "a list": f"[{CALL}]",
    "doubled braces": '{{"name": "get_weather", "arguments": {{"city": "Berlin"}}}}',
    "outer braces doubled": '{{"name": "get_weather", "arguments": {"city": "Berlin"}}}',
    "parameters instead of arguments": '{"name": "get_weather", "parameters": {"city": "Berlin"}}',
    "arguments first": '{"arguments": {"city": "Berlin"}, "name": "get_weather"}',
    "arguments as a string": '{"name": "get_weather", "arguments": "{\\"city\\": \\"Berlin\\"}"}',
    "type and function around": f'{{"type": "function", "function": {CALL}}}',
    "an id behind": '{"name": "get_weather", "arguments": {"city": "Berlin"}, "id": "call_1"}',
    "an id before": '{"id": 7, "name": "get_weather", "arguments": {"city": "Berlin"}}',
    "last brace missing": CALL[:-1],
    "both braces missing": CALL[:-2],
    "words behind are dropped": f"{CALL}\n\nIt is 20 degrees in Berlin.",
    "a fence that never ends": f"```json\n{CALL}",
    "trailing tags twice": f"<tool_call>{CALL}</tool_call></tool_call>",
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize("several", [False, True])
def test_every_form_of_a_call_is_found_and_nothing_of_it_is_spoken(text: str, several: bool) -> None:
    assert parse([text], several=several) == ("", [WEATHER])


@pytest.mark.parametrize(
    "text",
    [
        "The capital of France is Paris.",
        "It is 5 < 7 and {3}.",
        'Here is JSON: {"city": "Berlin"}',
        '{"name": "Bob", "age": 30}',
        '{"name": "get_weather"}',
        '{"name": "get_weather", "arguments": 3}',
        '{"name": "unknown_tool", "arguments": {}}',
        "```python\nprint({1: 2})\n```",
        '```json\n{"a": 1}\n```',
        "`code` and ``more``",
        "<b>bold</b>",
        "[1, 2, 3]",
        "{",
        "{}",
        "{{{{",
        "}",
        "a\n\nb",
        '{"name": "get_wea',
        '{"type": "person", "name": "get_weather"}',
        '{"name": "get_weather", "arguments": {"a": 1]}',
        "<tool_call>nothing</tool_call>",
    ],
)
def test_what_is_no_call_is_released_as_text(text: str) -> None:
    spoken, calls = parse([text])
    if text.endswith("]}"):  # certain to be a call before its end turned out to be wrong
        assert [name for name, _ in calls] == ["get_weather"]
    else:
        assert (spoken, calls) == (text, [])


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        (f"Let me look. {CALL}", "Let me look."),
        (f"Let me look:\n\n```json\n{CALL}\n```\nDone.", "Let me look:"),
        (f"< {CALL}", "<"),
        ("{ " + CALL, "{"),
    ],
)
def test_words_before_a_call_are_spoken(text: str, spoken: str) -> None:
    assert parse([text]) == (spoken, [WEATHER])


TIMER_CALL = '{"name": "set_timer", "arguments": {"minutes": 5}}'
TWO = {
    "one per line": f"{CALL}\n{TIMER_CALL}",
    "list": f"[{CALL}, {TIMER_CALL}]",
    "tags": f"<tool_call>{CALL}</tool_call>\n<tool_call>{TIMER_CALL}</tool_call>",
    "fences": f"```json\n{CALL}\n```\n\n```json\n{TIMER_CALL}\n```",
}


@pytest.mark.parametrize("text", TWO.values(), ids=TWO.keys())
def test_several_calls_are_found_only_if_they_are_wanted(text: str) -> None:
    assert parse([text], several=True) == ("", [WEATHER, TIMER])
    assert parse([text], several=False) == ("", [WEATHER])


def test_parser_is_done_after_the_only_call_that_is_wanted() -> None:
    parser = ToolCallParser(NAMES, several=False)
    parser.feed(CALL[:-1])
    assert not parser.done
    parser.feed(CALL[-1])
    assert parser.done


def test_parser_is_done_when_words_follow_the_last_of_several_calls() -> None:
    parser = ToolCallParser(NAMES, several=True)
    parser.feed(CALL + "\n")
    assert not parser.done
    parser.feed("It")
    assert parser.done


def test_endless_calls_end() -> None:
    parser = ToolCallParser(NAMES, several=True)
    parser.feed(CALL * 100)
    assert parser.done
    assert parser.calls == 8


def test_arguments_leave_as_they_come() -> None:
    parser = ToolCallParser(NAMES, several=False)
    assert parser.feed('{"name": "get_weather", "arguments": ') == []
    assert parser.feed('{"city": ') == [ToolCallChunk(0, "get_weather", '{"city": ')]
    assert parser.feed('"Ber') == [ToolCallChunk(0, "get_weather", '"Ber')]
    assert parser.feed('lin"}}') == [ToolCallChunk(0, "get_weather", 'lin"}')]
    assert parser.finish() == []


def test_text_is_held_back_only_while_it_may_be_a_call() -> None:
    parser = ToolCallParser(NAMES, several=False)
    assert parser.feed("Hello") == [TextChunk("Hello")]
    assert parser.feed(' {"na') == []
    assert parser.feed('me": "Bob') == []
    assert parser.feed('", ') == [TextChunk(' {"name": "Bob",')]
    assert parser.feed("x") == [TextChunk(" x")]


def test_arguments_cut_by_a_limit_stay_cut() -> None:
    assert parse([CALL[:-5]], cut=True) == ("", [("get_weather", '{"city": "Berl')])
    assert parse([CALL[:-5]]) == ("", [("get_weather", '{"city": "Berl"}')])


def test_without_tools_everything_is_text() -> None:
    parser = ToolCallParser((), several=True)
    assert parser.feed(CALL) == [TextChunk(CALL)]
    assert parser.feed(" \n") == [TextChunk(" \n")]
    assert parser.finish() == []
    assert not parser.done


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize("several", [False, True])
def test_a_call_where_none_is_allowed_is_never_spoken(text: str, several: bool) -> None:
    for pieces in ([text], list(text), ["It rains. " + text]):
        parser = ToolCallParser((), several=several, former=NAMES)
        given = [piece for part in pieces for piece in parser.feed(part)] + parser.finish()
        assert given == ([TextChunk("It rains.")] if pieces[0].startswith("It") else [])
        assert parser.calls == 0


def test_a_call_of_a_former_tool_is_dropped_and_one_of_a_present_tool_is_kept() -> None:
    parser = ToolCallParser(["set_timer"], several=True, former=["get_weather"])
    given = parser.feed(f"{CALL}\n{TIMER_CALL}\n{CALL}") + parser.finish()
    assert given == [ToolCallChunk(0, *TIMER)]
    assert parser.calls == 1


def test_an_object_that_is_no_call_of_a_former_tool_is_spoken() -> None:
    parser = ToolCallParser((), several=True, former=["get_weather"])
    given = parser.feed(TIMER_CALL) + parser.finish()
    assert given == [TextChunk(TIMER_CALL)]


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS.keys())
def test_every_form_of_a_call_begins_with_an_opener(text: str) -> None:
    assert text.lstrip()[0] in OPENERS
    assert all(opener in NO_CALL_GRAMMAR.partition("]")[0] for opener in OPENERS)


SAMPLES = st.sampled_from(
    [*FORMS.values(), *TWO.values(), "Well, ", "{", "`", "```", "<", "[", '"', "}", "\n", " a b "]
)


@given(st.lists(SAMPLES, max_size=4).map("".join), st.lists(st.integers(0, 400), max_size=8), st.booleans())
def test_every_split_of_the_text_gives_the_same_result(text: str, cuts: list[int], several: bool) -> None:
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[a:b] for a, b in pairwise(edges)]
    assert parse(pieces, several=several) == parse([text], several=several) == parse(list(text), several=several)


@given(st.text(alphabet='{}[]<>`":,a \n\\' + "name", max_size=60))
def test_text_without_a_tool_name_is_never_changed(text: str) -> None:
    assert parse([text]) == (text.rstrip(), [])


ARGUMENTS = st.dictionaries(
    st.text(max_size=8), st.recursive(st.text() | st.integers() | st.booleans() | st.none(), st.lists, max_leaves=5)
)


@given(ARGUMENTS, st.booleans())
def test_arguments_of_any_content_come_through_unchanged(arguments: dict[str, object], ascii_only: bool) -> None:
    written = json.dumps(arguments, ensure_ascii=ascii_only)
    _, calls = parse([f'{{"name": "set_timer", "arguments": {written}}}'])
    assert calls == [("set_timer", written)]
