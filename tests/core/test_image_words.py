"""What a prompt says of an image: rows in reading order, roughly where they stand, bounded, and nothing invented."""

import pytest

from antiphon.core.image_words import dropped_words, failed_words, image_words, unseen_words
from antiphon.images.head import ImageHead
from antiphon.vocabulary.images import ImageReading, TextLine

HEAD = ImageHead("png", 1280, 800, 1_000)


def line(text: str, left: float, top: float) -> TextLine:
    return TextLine(text, left, top, left + 0.2, top + 0.04)


def words(*lines: TextLine, room: int = 3_000, **fields: object) -> list[str]:
    return image_words(HEAD, ImageReading(lines, **fields), room).splitlines()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("lines", "rows"),
    [
        ([line("b", 0.0, 0.2), line("a", 0.0, 0.1)], ["At the top:", "a", "b"]),
        ([line("right", 0.6, 0.10), line("left", 0.1, 0.11)], ["At the top:", "left | right"]),
        ([line("alone", 0.6, 0.5)], ["In the middle:", "(right) alone"]),
        ([line("a", 0.0, 0.1), line("b", 0.0, 0.5), line("c", 0.0, 0.9)],
         ["At the top:", "a", "In the middle:", "b", "At the bottom:", "c"]),
        ([line("  two\n words ", 0.0, 0.9), line("  ", 0.0, 0.1)], ["At the bottom:", "two words"]),
        ([line("outside", 0.0, 1.2)], ["At the bottom:", "outside"]),
    ],
)  # fmt: skip
def test_rows_go_from_top_to_bottom_and_from_left_to_right(lines: list[TextLine], rows: list[str]) -> None:
    assert words(*lines)[1:-1] == rows


def test_size_and_colours_come_first() -> None:
    start = "[The user shows a picture of 1280 x 800 pixels"
    assert words(line("a", 0, 0), colours=("white", "blue", "red"))[0] == (
        f"{start}, mainly white, blue and red. Text in it:"
    )
    assert words(line("a", 0, 0), colours=("white",))[0] == f"{start}, mainly white. Text in it:"
    assert words(line("a", 0, 0))[0] == f"{start}. Text in it:"


def test_text_beyond_the_room_is_left_out_and_said_to_be() -> None:
    shown = words(*(line(f"line {number}", 0.0, number / 20) for number in range(20)), room=35)
    assert shown[1:] == [
        "At the top:", "line 0", "line 1", "line 2",
        "(There is more text, which is left out here.)",
        "End of the picture; nothing else in it is known.]",
    ]  # fmt: skip


def test_text_that_the_reader_left_out_is_said_to_be_missing() -> None:
    assert "(There is more text, which is left out here.)" in words(line("a", 0, 0), is_complete=False)


def test_a_caption_is_told_and_bounded() -> None:
    (shown,) = words(caption="A cat on a mat.")
    assert shown.endswith("It shows: A cat on a mat. There is no text in it.]")
    assert len(words(caption="cat " * 10_000, room=100)[0]) < 250


@pytest.mark.parametrize(
    ("shown", "holds"),
    [
        (words()[0], "I can only read text in pictures, and there is none in it."),
        (unseen_words(HEAD), "I cannot see pictures."),
        (failed_words(HEAD), "The picture could not be read."),
        (dropped_words(HEAD), "taken away again"),
    ],
)
def test_where_nothing_is_known_the_model_is_told_what_to_say(shown: str, holds: str) -> None:
    assert shown.startswith("[The user shows a picture of 1280 x 800 pixels")
    assert holds in shown
