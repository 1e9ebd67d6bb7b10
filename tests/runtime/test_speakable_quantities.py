"""What is told to the voice otherwise than it is written. What it makes of the rest is tested with it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.runtime.speakable_quantities import say_quantities
from tests.support.properties import bounded


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "Call +49 30 901820 or +1 (415) 555-0132.",
            "Call plus 4 9, 3 0, 9 0 1 8 2 0 or plus 1, 4 1 5, 5 5 5, 0 1 3 2.",
        ),
        ("(415) 555-0132, 1-800-555-0199", "4 1 5, 5 5 5, 0 1 3 2, 1, 8 0 0, 5 5 5, 0 1 9 9"),
        ("Call 911. The zip code is 90210, the PIN 4821.", "Call 9 1 1. The zip code is 9 0 2 1 0, the PIN 4 8 2 1."),
        ("+1000, +12345, call 200 people, 555-1234", "+1000, +12345, call 200 people, 555-1234"),
    ],
)
def test_telephone_numbers_and_codes_are_read_digit_by_digit(text: str, told: str) -> None:
    assert say_quantities(text) == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("on 31.12.2025, not 31.13.2025", "on 2025-12-31, not 31 point 13 point 2025"),
        ("at 2026-03-05T14:30:00Z", "at 2026-03-05, 14:30"),
        ("9am-5pm, 9-5pm, 9:00–17:30, 9-5", "9 A.M. to 5 P.M., 9 to 5 P.M., 9:00 to 17:30, 9-5"),
        ("It is 3pm. Mar. 5, No. 5, p. 12", "It is 3 P.M. Mar 5, number 5, page 12"),
        ("16:9, 3:2, 10:30, 1:02:03", "16 to 9, 3 to 2, 10:30, 1:02:03"),
    ],
)
def test_dates_times_and_scores(text: str, told: str) -> None:
    assert say_quantities(text) == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1.234,56 and 1.000.000 and 1\u202f000", "1,234.56 and 1,000,000 and 1,000"),
        ("about .5, 1.5, 1.234", "about 0.5, 1.5, 1.234"),
        ("v2.0.1, 1.10.3, 3.11", "version 2 point 0 point 1, 1 point 10 point 3, 3.11"),
        ("version v2.0 and v2", "version 2 point 0 and v2"),
        ("192.168.0.1", "192 dot 168 dot 0 dot 1"),
        ("1/2, 2/3, 2 1/2, 1½", "one half, 2 thirds, 2 and a half, 1 and a half"),
        ("8/10, 4.5/5 stars", "8 out of 10, 4.5 out of 5 stars"),
        ("10/2, 24/7, 3/4/2025", "10/2, 24/7, 3/4/2025"),
        ("10k people, 3.5M, 7B, 4K, 401k", "10 thousand people, 3.5 million, 7 billion, 4K, 401k"),
        ("$5-10, $20-$30, 19,99 €", "5 to $10, 20 to $30, 19.99 €"),
        ("1 EUR, 50 USD", "1 euro, 50 US dollars"),
        ("3x faster, 4x4, 1920 x 1080, 0x10", "3 times faster, 4 by 4, 1920 by 1080, 0x10"),
        ("e.g. this, i.e. that", "for example this, that is that"),
    ],
)  # fmt: skip
def test_numbers(text: str, told: str) -> None:
    assert say_quantities(text) == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "1 m, 2.5 m, 20 m², 1 m2, 3 m/s",
            "1 meter, 2.5 meters, 20 square meters, 1 square meter, 3 meters per second",
        ),
        ("5 s, 2h 30 min, 90s", "5 seconds, 2 hours 30 min, 90s"),
        ("200g, 1 tsp, 1/2 tsp, 2 1/2 tbsp", "200 grams, 1 teaspoon, one half teaspoon, 2 and a half tablespoons"),
        ("in the 1990s, 5G, 5 gold, $5 m", "in the 1990s, 5G, 5 gold, $5 m"),
        ("6'2\" or 6 ft 2 in", "6 foot 2 or 6 foot 2"),
    ],
)
def test_units(text: str, told: str) -> None:
    assert say_quantities(text) == told


@bounded(300)
@given(st.text(alphabet="0123459.,:/-+x ½²$€'\"vmsgkKMBapPT()²٣", max_size=60))
def test_any_text_is_read_and_grows_only_so_much(text: str) -> None:
    assert len(say_quantities(text)) <= 20 * len(text) + 1
