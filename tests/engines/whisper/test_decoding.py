from collections.abc import Callable

import pytest

from antiphon.engines.whisper.decoding import Attempt, Decoded, decode_partial, decode_speech, first_attempt

GOOD = Decoded("a good result", logprob=-0.2, no_speech=0.05)
DOUBTFUL = Decoded("a guess", logprob=-0.8, no_speech=0.1)
CAPPED = Decoded("and and and", logprob=-0.1, no_speech=0.1, capped=True)
NOISE = Decoded("I'm going to go.", logprob=-1.9, no_speech=0.9)
MISLED = Decoded("Antiphon", logprob=-1.0, no_speech=0.4)


def scripted(results: list[Decoded]) -> tuple[Callable[[Attempt], Decoded], list[Attempt]]:
    attempts: list[Attempt] = []

    def decode(attempt: Attempt) -> Decoded:
        attempts.append(attempt)
        return results[len(attempts) - 1]

    return decode, attempts


@pytest.mark.parametrize(
    ("duration_s", "window_s", "token_limit"),
    [(0.3, 10, 13), (2, 10, 24), (5, 13, 42), (14, 22, 96), (22, 30, 144), (25, 30, 144), (28, 30, 144)],
)
def test_the_fast_window_is_8_s_longer_than_the_speech(duration_s: float, window_s: float, token_limit: int) -> None:
    assert first_attempt(duration_s, window="fast", hinted=False) == Attempt(window_s, token_limit, hinted=False)


def test_the_full_window_is_30_s() -> None:
    assert first_attempt(2, window="full", hinted=True) == Attempt(30, 24, hinted=True)


@pytest.mark.parametrize(
    ("results", "text", "windows"),
    [
        ([GOOD], GOOD.text, [10]),
        ([DOUBTFUL, GOOD], GOOD.text, [10, 30]),
        ([CAPPED, GOOD], GOOD.text, [10, 30]),
        ([DOUBTFUL, DOUBTFUL], DOUBTFUL.text, [10, 30]),
        ([NOISE], "", [10]),
        ([DOUBTFUL, NOISE], "", [10, 30]),
    ],
)
def test_what_is_doubtful_is_decoded_again_in_the_full_window(
    results: list[Decoded], text: str, windows: list[float]
) -> None:
    decode, attempts = scripted(results)
    assert decode_speech(2, decode, window="fast", hinted=False).text == text
    assert [attempt.window_s for attempt in attempts] == windows


@pytest.mark.parametrize(("first", "calls"), [(DOUBTFUL, 1), (GOOD, 1), (CAPPED, 2)])
def test_in_the_full_window_only_a_loop_is_decoded_again(first: Decoded, calls: int) -> None:
    decode, attempts = scripted([first, GOOD])
    decode_speech(2, decode, window="full", hinted=False)
    assert len(attempts) == calls


@pytest.mark.parametrize(("first", "unrepeated"), [(DOUBTFUL, False), (CAPPED, True)])
def test_a_loop_is_decoded_again_without_repetitions(first: Decoded, unrepeated: bool) -> None:
    decode, attempts = scripted([first, GOOD])
    decode_speech(2, decode, window="fast", hinted=False)
    assert [attempt.unrepeated for attempt in attempts] == [False, unrepeated]


@pytest.mark.parametrize(
    ("result", "is_speech"),
    [
        (Decoded("Turn it off.", -0.3, 0.5), True),
        (Decoded("Turn it off.", -0.3, 0.6), False),
        (Decoded("Turn it off.", -1.6, 0.45), False),
        (Decoded("Thank you.", -0.2, 0.1), True),
        (Decoded("Thank you.", -0.2, 0.35), False),
        (Decoded(" You", -0.2, 0.35), False),
        (Decoded("...", -0.2, 0.0), False),
        (Decoded("", 0.0, 0.0), False),
    ],
)
def test_no_speech_is_told_by_probability_and_by_what_whisper_says_into_silence(
    result: Decoded, is_speech: bool
) -> None:
    decode, _ = scripted([result, result])
    assert bool(decode_speech(2, decode, window="full", hinted=False).text) is is_speech


def test_hints_that_find_words_in_what_may_be_noise_are_checked_without_them() -> None:
    decode, attempts = scripted([MISLED, NOISE])
    assert decode_speech(2, decode, window="fast", hinted=True).text == ""
    assert [attempt.hinted for attempt in attempts] == [True, False]
    decode, attempts = scripted([GOOD])
    assert decode_speech(2, decode, window="fast", hinted=True) == GOOD
    assert [attempt.hinted for attempt in attempts] == [True]


@pytest.mark.parametrize(
    ("result", "hinted", "text"),
    [
        (GOOD, True, GOOD.text),
        (DOUBTFUL, False, DOUBTFUL.text),
        (CAPPED, False, ""),
        (NOISE, False, ""),
        (MISLED, True, ""),
        (MISLED, False, MISLED.text),
    ],
)
def test_a_partial_is_one_attempt_and_empty_if_it_cannot_be_trusted(result: Decoded, hinted: bool, text: str) -> None:
    decode, attempts = scripted([result])
    assert decode_partial(2, decode, window="fast", hinted=hinted).text == text
    assert len(attempts) == 1
