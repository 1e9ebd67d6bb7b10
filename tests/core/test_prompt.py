"""Prompt rules: whatever stands in a conversation, the model gets messages that are legal for a chat model."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.conversation import Entry, KnownImage
from antiphon.core.playout import Playout
from antiphon.core.prompt import estimated_tokens, item_text, messages_of
from antiphon.images.head import ImageHead
from antiphon.protocol.items import (
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    ItemStatus,
    McpApprovalRequest,
    McpApprovalResponse,
    McpCall,
    McpListTools,
    McpToolExecutionError,
    Message,
    OutputAudio,
    OutputText,
)
from antiphon.vocabulary.llm import AssistantMessage, ChatMessage, LlmCapabilities, ToolMessage
from tests.support.images import TINY
from tests.support.script import prompt_line

SEES = LlmCapabilities(images=True)
LISTENS = LlmCapabilities(audio_in=True)
BLIND = LlmCapabilities()


def user(text: str) -> Entry:
    return Entry(Message(role="user", content=[InputText(text=text)]), text)


def system(text: str) -> Entry:
    return Entry(Message(role="system", content=[InputText(text=text)]), text)


def assistant(text: str, status: ItemStatus = "completed") -> Entry:
    return Entry(Message(role="assistant", status=status, content=[OutputText(text=text)]), text)


def spoken(text: str, status: ItemStatus, playout: Playout) -> Entry:
    return Entry(
        Message(role="assistant", status=status, content=[OutputAudio(transcript=text)]), text, playout=playout
    )


def heard(transcript: str | None, audio: bytes = b"") -> Entry:
    entry = Entry(Message(role="user", content=[InputAudio(transcript=transcript)]), "heard", {0: "known"})
    if audio:
        entry.keep_audio(0, audio, "audio/pcm")
    return entry


def shown() -> Entry:
    image = InputImage(image_url=TINY["%png"], detail="high")
    known = {1: KnownImage(ImageHead("png", 4, 3, 69), words="[A picture]")}
    return Entry(Message(role="user", content=[InputText(text="Look"), image]), "shown", images=known)


def call(call_id: str, status: ItemStatus = "completed", arguments: str = "{}", name: str = "look") -> Entry:
    return Entry(FunctionCall(name=name, arguments=arguments, call_id=call_id, status=status), f"call {call_id}")


def result(call_id: str, output: str) -> Entry:
    return Entry(FunctionCallOutput(call_id=call_id, output=output), f"{call_id} {output}")


def half_sent(text: str, *, whole: bool = False) -> Playout:
    """Its first clause was sent whole, of the second only the beginning."""
    playout = Playout(whole=whole)
    end = text.index(".") + 1
    playout.sent(24_000, 0, end)
    playout.sent(2_400, end, len(text))
    return playout


def lines(entries: Sequence[Entry], capabilities: LlmCapabilities = BLIND, instructions: str = "") -> list[str]:
    return [prompt_line(message) for message in messages_of(instructions, entries, capabilities)]


@pytest.mark.parametrize(
    ("rule", "entries", "expected"),
    [
        ("nothing is nothing", [], []),
        (
            "messages keep their order",
            [user("A"), assistant("B"), system("C")],
            ["user: A", "assistant: B", "system: C"],
        ),
        ("words that were heard stand as text", [heard("Hello")], ["user: Hello"]),
        ("what nobody understood is inaudible", [heard(None), heard("")], ["user: (inaudible)"] * 2),
        ("an empty answer is left out", [assistant(""), user("A")], ["user: A"]),
        (
            "a call is followed by its result",
            [call("c"), user("A"), result("c", "42")],
            ["assistant: look({})", "result of look: 42", "user: A"],
        ),
        (
            "also where the result stands before it",
            [result("c", "42"), call("c")],
            ["assistant: look({})", "result of look: 42"],
        ),
        (
            "results follow their own calls, whatever their order",
            [call("a", name="f"), call("b", name="g"), result("b", "2"), result("a", "1")],
            ["assistant: f({})", "result of f: 1", "assistant: g({})", "result of g: 2"],
        ),
        (
            "a call without a result has a synthetic one",
            [call("c")],
            ["assistant: look({})", "result of look: No result yet."],
        ),
        ("an incomplete call without a result is left out", [call("c", "incomplete", '{"a')], []),
        ("so is a call in progress", [call("c", "in_progress", "")], []),
        (
            "an incomplete call with a result stays, with legal arguments",
            [call("c", "incomplete", '{"a'), result("c", "42")],
            ["assistant: look({})", "result of look: 42"],
        ),
        (
            "arguments that are no object become one",
            [call("c", arguments="[1]"), call("d", arguments=""), call("e", arguments='{"a": 1}')],
            [
                "assistant: look({})",
                "result of look: No result yet.",
                "assistant: look({})",
                "result of look: No result yet.",
                'assistant: look({"a": 1})',
                "result of look: No result yet.",
            ],
        ),
        ("a result without a call is text", [result("c", "42")], ["user: [result of c] 42"]),
        (
            "a second result is text with the name of the function",
            [call("c"), result("c", "1"), result("c", "2")],
            ["assistant: look({})", "result of look: 1", "user: [result of look] 2"],
        ),
        (
            "a second call of the same id is left out",
            [call("c"), call("c"), result("c", "1")],
            ["assistant: look({})", "result of look: 1"],
        ),
        (
            "a call of an MCP tool is call and result in one",
            [Entry(McpCall(server_label="s", name="find it", arguments='{"a":1}', output="Found"), "mcp"), user("A")],
            ['assistant: find_it({"a":1})', "result of find_it: Found", "user: A"],
        ),
        (
            "a call of an MCP tool that failed says why",
            [
                Entry(
                    McpCall(
                        server_label="s", name="f", arguments="no", error=McpToolExecutionError(message="It broke.")
                    ),
                    "mcp",
                )
            ],
            ["assistant: f({})", "result of f: Error: It broke."],
        ),
        (
            "a call of an MCP tool that was not made yet has no result yet",
            [Entry(McpCall(server_label="s", name="f", arguments="{}"), "mcp")],
            ["assistant: f({})", "result of f: No result yet."],
        ),
        (
            "a call of an MCP tool that nobody has approved says so",
            [Entry(McpCall(server_label="s", name="f", arguments="{}", approval_request_id="q"), "mcp")],
            ["assistant: f({})", "result of f: The call waits for the user's approval."],
        ),
        (
            "lists of tools and approvals are no words",
            [
                Entry(McpListTools(server_label="s", tools=[]), "l"),
                Entry(McpApprovalRequest(server_label="s", name="f", arguments="{}"), "q"),
                Entry(McpApprovalResponse(approval_request_id="q", approve=True), "a"),
                user("A"),
            ],
            ["user: A"],
        ),
        (
            "a blind model is told of images",
            [shown()],
            ["user: Look + [A picture]"],
        ),
        ("a deaf model gets words", [heard("Hello", bytes(4800))], ["user: Hello"]),
        (
            "a completed answer is whole",
            [spoken("One. Two.", "completed", half_sent("One. Two.", whole=True))],
            ["assistant: One. Two."],
        ),
        (
            "of an interrupted answer only what was sent",
            [spoken("One. Two three four five.", "incomplete", half_sent("One. Two three four five."))],
            ["assistant: One."],
        ),
        ("an interrupted text answer is whole", [assistant("Once upon", "incomplete")], ["assistant: Once upon"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_prompt_is_legal_for_a_chat_model(rule: str, entries: list[Entry], expected: list[str]) -> None:
    assert lines(entries) == expected, rule


def test_instructions_come_first_as_the_systems_words_and_only_if_there_are_any() -> None:
    assert lines([user("A")], instructions="Be brief.") == ["system: Be brief.", "user: A"]
    assert lines([user("A")]) == ["user: A"]


def test_a_model_with_eyes_gets_images_and_one_with_ears_gets_audio_that_is_kept() -> None:
    assert lines([shown()], SEES) == ["user: Look + <image high>"]
    assert lines([heard("Hello", bytes(4800))], LISTENS) == ["user: <100 ms of audio>"]
    assert lines([heard("Hello")], LISTENS) == ["user: Hello"]


def test_an_item_that_was_truncated_already_holds_only_what_was_heard() -> None:
    playout = half_sent("One. Two.")
    entry = spoken("One. Two.", "completed", playout)
    playout.truncate(0)
    entry.cut_to_heard()
    assert lines([entry]) == []


STRAY = st.sampled_from(["a", "b", "c"])
ITEMS = st.lists(
    st.one_of(
        st.builds(
            call, STRAY, st.sampled_from(["completed", "incomplete", "in_progress"]), st.sampled_from(["{}", "{", ""])
        ),
        st.builds(result, STRAY, st.sampled_from(["1", "2"])),
        st.builds(user, STRAY),
        st.builds(assistant, st.sampled_from(["", "x"])),
    ),
    max_size=8,
)


@given(ITEMS)
def test_each_call_has_one_result_right_behind_it_and_no_result_is_without_call(entries: list[Entry]) -> None:
    messages: list[ChatMessage] = list(messages_of("", entries, BLIND))
    called: list[str] = []
    for before, message in zip([None, *messages], messages, strict=False):
        if isinstance(message, AssistantMessage) and message.tool_calls:
            called += [one.call_id for one in message.tool_calls]
        elif isinstance(message, ToolMessage):
            assert isinstance(before, AssistantMessage)
            assert [one.call_id for one in before.tool_calls] == [message.call_id]
    assert len(called) == len(set(called))
    assert len(called) == sum(isinstance(message, ToolMessage) for message in messages)


def test_words_that_were_not_measured_are_estimated_with_care() -> None:
    english = "The quick brown fox jumps over the lazy dog."
    assert estimated_tokens(english) > len(english.split()) * 1.3
    assert estimated_tokens("日本語") >= 3
    assert estimated_tokens("") == 1
    assert item_text(call("c", arguments='{"a": 1}')) == 'look {"a": 1}'


# --- one thought ---------------------------------------------------------------------------------------------------


def went_on(text: str) -> Entry:
    entry = heard(text)
    entry.continues = True
    return entry


def answer(heard_ms: int) -> Entry:
    """A spoken answer that was cut off when so much of it had been heard."""
    playout = Playout()
    playout.sent(24_000, 0, 12, 0.0)
    playout.stopped_s = heard_ms / 1000
    return spoken("One two three", "incomplete", playout)


def truncated(heard_ms: int) -> Entry:
    entry = answer(900)
    assert entry.playout is not None
    entry.playout.truncate(heard_ms)
    return entry


def written(status: ItemStatus) -> Entry:
    return assistant("One two three", status)


CALL = Entry(FunctionCall(name="look", call_id="c", arguments="{}", status="completed"), "call")
LISTS = Entry(McpListTools(server_label="s", tools=[]), "lists")
CALLED = ["assistant: look({})", "result of look: No result yet."]


@pytest.mark.parametrize(
    ("between", "prompt"),
    [
        ([], ["user: I want to go"]),
        ([answer(0)], ["user: I want to go"]),
        ([answer(500)], ["user: I want to go"]),
        ([answer(300), answer(100)], ["user: I want to go"]),
        ([truncated(400)], ["user: I want to go"]),
        ([written("incomplete")], ["user: I want to go"]),
        ([LISTS, answer(100)], ["user: I want to go"]),
        ([answer(600)], ["user: I want", "assistant: One two", "user: to go"]),
        ([answer(600), answer(100)], ["user: I want", "assistant: One two", "user: to go"]),
        ([written("completed")], ["user: I want", "assistant: One two three", "user: to go"]),
        ([CALL, answer(0)], ["user: I want", *CALLED, "user: to go"]),
        ([system("Hm.")], ["user: I want", "system: Hm.", "user: to go"]),
    ],
)
def test_a_user_who_went_on_said_one_thing_unless_something_was_heard_or_done_between(
    between: list[Entry], prompt: list[str]
) -> None:
    entries = [heard("I want"), *between, went_on("to go")]
    assert lines(entries) == prompt


def test_a_thought_may_come_in_many_pieces() -> None:
    entries = [heard("I want"), answer(100), went_on("to go"), answer(200), went_on("home."), answer(900)]
    assert lines(entries)[0] == "user: I want to go home."


def test_a_thought_whose_beginning_is_gone_is_what_is_left_of_it() -> None:
    assert lines([answer(900), went_on("to go")])[-1] == "user: to go"
    assert lines([went_on("to go")]) == ["user: to go"]


def test_pictures_and_audio_stay_what_they_are_in_a_joined_message() -> None:
    seen = Entry(Message(role="user", content=[InputImage(image_url=TINY["%png"])]), "image")
    assert lines([seen, went_on("to go")], SEES) == ["user: <image auto> + to go"]
