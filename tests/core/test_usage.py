"""Usage is counted for every response that was generated, and its parts always add up."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.conversation import Entry, KnownImage
from antiphon.core.inputs import INPUT_HZ
from antiphon.core.outputs import Emit, StartResponse
from antiphon.core.playout import Playout
from antiphon.core.usage import prompt_size, usage_of
from antiphon.images.head import ImageHead
from antiphon.protocol.items import ContentPart, FunctionCall, InputAudio, InputImage, InputText, Message, OutputAudio
from antiphon.protocol.response import Usage
from antiphon.protocol.server_events import ResponseDone
from antiphon.vocabulary.llm import TokenUsage
from tests.support.images import TINY
from tests.support.session import Driver, pcm_ms


def test_a_cancelled_response_tells_what_was_read_and_written() -> None:
    driver = Driver()
    driver.open()
    (order,) = [one for one in driver.send("response.create") if isinstance(one, StartResponse)]
    driver.text(order.response_id, "Hello ")
    driver.text(order.response_id, "there")
    outputs = driver.send("response.cancel")
    (done,) = [one.event for one in outputs if isinstance(one, Emit) and isinstance(one.event, ResponseDone)]
    usage = done.response.usage
    assert usage is not None
    assert usage.output_token_details.text_tokens == 2
    assert usage.input_tokens == usage.input_token_details.text_tokens > 0
    assert usage.total_tokens == usage.input_tokens + 2


# --- what an item counts as ----------------------------------------------------------------------------------------


IMAGE = InputImage(image_url=TINY["%png"])
HEAD = ImageHead("png", 4, 3, 78)


def shown(tokens: int | None, *, words: str = "", seen_tokens: int = 0) -> Entry:
    """An image alone: as words, or for a model that sees."""
    known = {0: KnownImage(HEAD, words=words, tokens=seen_tokens)}
    return Entry(Message(role="user", content=[IMAGE]), "shown", tokens=tokens, images=known)


def heard(ms: int, words: str, tokens: int | None) -> Entry:
    entry = Entry(Message(role="user", content=[InputAudio(transcript=words)]), "heard", tokens=tokens)
    entry.keep_audio(0, pcm_ms(ms), "audio/pcm")
    return entry


def spoken(ms: int, words: str, tokens: int | None, heard_ms: int | None = None) -> Entry:
    playout = Playout()
    playout.sent(ms * INPUT_HZ // 1000, 0, len(words))
    if heard_ms is not None:
        playout.truncate(heard_ms)
    item = Message(role="assistant", content=[OutputAudio(transcript=words)])
    return Entry(item, "spoken", tokens=tokens, playout=playout)


def written(words: str, tokens: int | None) -> Entry:
    return Entry(Message(role="user", content=[InputText(text=words)]), "written", tokens=tokens)


def called(tokens: int | None) -> Entry:
    return Entry(FunctionCall(name="look", arguments="{}"), "called", tokens=tokens)


def mixed(ms: int, words: str, text: str, tokens: int | None) -> Entry:
    content: list[ContentPart] = [InputText(text=text), InputAudio(transcript=words), IMAGE]
    known = {2: KnownImage(HEAD, words=text, tokens=ms // 10)}
    entry = Entry(Message(role="user", content=content), "mixed", tokens=tokens, images=known)
    entry.keep_audio(1, pcm_ms(ms), "audio/pcm")
    return entry


def without_audio(entry: Entry) -> Entry:
    entry.drop_audio()
    return entry


@dataclass(frozen=True)
class Case:
    rule: str
    entries: list[Entry]
    read: int
    cached: int
    text: int
    audio: int
    cached_text: int = 0
    cached_audio: int = 0
    image: int = 0
    cached_image: int = 0


CASES = [
    Case("nothing but instructions", [], 50, 0, 50, 0),
    Case("words as the model counts them", [written("Hello there", 3)], 70, 0, 70, 0),
    Case("a call as the model counts it", [called(9)], 70, 0, 70, 0),
    Case("user speech by its length in place of its words", [heard(2000, "Hello", 10)], 70, 0, 60, 20),
    Case("also once its audio is dropped", [without_audio(heard(2000, "Hello", 10))], 70, 0, 60, 20),
    Case("assistant speech by its length", [spoken(2000, "Hello", 10)], 70, 0, 60, 40),
    Case("as far as it was heard", [spoken(2000, "Hello", 10, heard_ms=500)], 70, 0, 60, 10),
    Case("speech whose audio nobody has is words", [heard(0, "Hello", 10)], 70, 0, 70, 0),
    Case("estimates never make words negative", [heard(1000, "Hello " * 90, None)], 70, 0, 0, 10),
    Case("all of it cached", [heard(2000, "Hello", 10)], 68, 68, 58, 20, 58, 20),
    Case("instructions cached", [heard(2000, "Hello", 10)], 68, 50, 58, 20, 50, 0),
    Case("half of the speech cached", [heard(2000, "Hello", 10)], 68, 63, 58, 20, 58, 10),
    Case("an image by the words that stand for it", [shown(12, words="[A cat]")], 70, 0, 58, 0, image=12),
    Case("an image by what a model that sees takes", [shown(0, seen_tokens=85)], 143, 0, 58, 0, image=85),
    Case("no more for images than the model counted", [shown(0, seen_tokens=850)], 143, 0, 0, 0, image=143),
    Case("a cached image", [shown(12, words="[A cat]")], 70, 70, 58, 0, 58, 0, image=12, cached_image=12),
    Case("cached up to the words after the speech", [heard(2000, "Hi", 10), written("x", 12)], 88, 68, 78, 20, 58, 20),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_usage_by_modality(case: Case) -> None:
    usage = usage_of(prompt_size(50, case.entries), TokenUsage(case.read, case.cached, 7), spoken_samples=12_000)
    details = usage.input_token_details
    assert (details.text_tokens, details.audio_tokens, details.image_tokens) == (case.text, case.audio, case.image)
    cached = details.cached_tokens_details
    assert (cached.text_tokens, cached.audio_tokens) == (case.cached_text, case.cached_audio)
    assert cached.image_tokens == case.cached_image
    assert (usage.output_token_details.text_tokens, usage.output_token_details.audio_tokens) == (7, 10)
    assert_adds_up(usage)


def assert_adds_up(usage: Usage) -> None:
    read, cached, made = (
        usage.input_token_details,
        usage.input_token_details.cached_tokens_details,
        usage.output_token_details,
    )
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    assert usage.input_tokens == read.text_tokens + read.audio_tokens + read.image_tokens
    assert usage.output_tokens == made.text_tokens + made.audio_tokens
    assert read.cached_tokens == cached.text_tokens + cached.audio_tokens + cached.image_tokens
    for part in ("text_tokens", "audio_tokens", "image_tokens"):
        assert 0 <= getattr(cached, part) <= getattr(read, part)


TOKENS = st.none() | st.integers(0, 500)
LENGTHS_MS = st.sampled_from([0, 40, 100, 2000])
ENTRIES = st.lists(
    st.one_of(
        st.builds(heard, LENGTHS_MS, st.text(max_size=20), TOKENS),
        st.builds(spoken, LENGTHS_MS, st.text(max_size=20), TOKENS),
        st.builds(written, st.text(max_size=20), TOKENS),
        st.builds(called, TOKENS),
        st.builds(mixed, LENGTHS_MS, st.text(max_size=20), st.text(max_size=20), TOKENS),
    ),
    max_size=6,
)


@given(ENTRIES, st.integers(0, 300), st.integers(0, 5000), st.floats(0, 1), st.integers(0, 500))
def test_the_parts_of_usage_always_add_up(
    entries: list[Entry], fixed: int, read: int, cached: float, written: int
) -> None:
    counted = TokenUsage(read, int(read * cached), written)
    assert_adds_up(usage_of(prompt_size(fixed, entries), counted, spoken_samples=12_345))
