import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.runtime.speakable import ENGLISH, PLAIN, LineKind, SpeakableState, Wording, line_kind, speakable

MARKDOWN = st.text(alphabet="ab AB1,.;:!?-*_`~#|>[](){}<>\\/&@%$€°^=+\"'\n\t😊️‍→…—。é", max_size=80)


def say(text: str, state: SpeakableState | None = None) -> str:
    return speakable(text, state or SpeakableState())[0]


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("This is **bold**, *italic* and ***both***.", "This is bold, italic and both."),
        ("This is __bold__ and _italic_ and ~~gone~~.", "This is bold and italic and gone."),
        ("**Note:** read this.", "Note: read this."),
        ("The **first half", "The first half"),
        ("second half** is here", "second half is here"),
        ("snake_case stays two words", "snake case stays two words"),
        ('See [the guide](https://example.com/a_(b)?c=d "title").', "See the guide."),
        ("See [the guide][ref] and ![a cat](cat.png).", "See the guide and a cat."),
        ("As shown before[1] and noted[^2].", "As shown before and noted."),
        ("A <b>tag</b> and <br/> a break &amp; more.", "A tag and a break and more."),
        ("Use `print(x)` or ``a ` b``.", "Use print x or a b."),
        ("Set `max_size` in `app/main.py`.", "Set max size in app slash main dot py."),
        ("Not \\*emphasised\\*.", "Not emphasised."),
    ],
)
def test_inline_markup_is_read_as_its_text(text: str, spoken: str) -> None:
    assert say(text) == spoken


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Visit https://www.example.com/a/b?c=1#d.", "Visit example dot com."),
        ("Visit www.example.org, please.", "Visit example dot org, please."),
        ("Visit example.com/path/x.", "Visit example dot com."),
        ("Visit <https://docs.example.io/x>.", "Visit docs dot example dot io."),
        ("Open http://localhost:8000/v1 now.", "Open localhost port 8000 now."),
        ("Write to jo.doe@example.com!", "Write to jo dot doe at example dot com!"),
        ("Edit main.py and archive.tar.gz.", "Edit main dot py and archive dot tar dot gz."),
        ("For example, e.g. this, i.e. that.", "For example, for example this, that is that."),
    ],
)
def test_addresses_are_read_by_their_host(text: str, spoken: str) -> None:
    assert say(text) == spoken


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("It is 20°C or 68 °F.", "It is 20 degrees Celsius or 68 degrees Fahrenheit."),
        ("It is 1°C, turn by 90°.", "It is 1 degree Celsius, turn by 90 degrees."),
        ("About 5% of R&D.", "About 5 percent of R and D."),
        ("It costs $5, $3.50 or $1.", "It costs 5 dollars, 3 dollars and 50 cents or 1 dollar."),
        ("It costs $0.99/month.", "It costs 99 cents per month."),
        ("It costs $1234.", "It costs 1,234 dollars."),
        ("It costs $3.2 million, £5k or 20 €.", "It costs 3.2 million dollars, 5 thousand pounds or 20 euros."),
        ("A lost -$5.", "A lost minus 5 dollars."),
        ("2 + 2 = 4", "2 plus 2 equals 4"),
        ("7 - 3, 7 * 3, 7*3, 7 × 3, 7 ÷ 3", "7 minus 3, 7 times 3, 7 times 3, 7 times 3, 7 divided by 3"),
        ("x^2, y^3, 2**8", "x squared, y cubed, 2 to the power of 8"),
        ("a < b, b >= c, c != d", "a is less than b, b is at least c, c is not equal to d"),
        ("It is -5 outside", "It is minus 5 outside"),
        ("on 2019-10-12 call 555-1234", "on 2019-10-12 call 555-1234"),
        ("pages 10–20", "pages 10 to 20"),
        ("A → B -> C", "A to B to C"),
        ("C# and C++ are #1", "C sharp and C plus plus are number 1"),
        ("take ~5, π ≈ 3", "take about 5, pi is about 3"),
        ("wait - what -- really", "wait, what, really"),
        ("The area is \\(x^2\\) or \\frac{a}{b}.", "The area is (x squared) or a over b."),
        ("1,000 or 3.5 or .5", "1,000 or 3.5 or 0.5"),
    ],
)
def test_signs_and_amounts_become_words(text: str, spoken: str) -> None:
    assert say(text) == spoken


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Great! 😊👍🏽 Let's go 👨‍👩‍👧.", "Great! Let's go."),
        ("Step 1️⃣ and ✅ done ❤️", "Step 1 and done"),
        ("Hi :) there ;-) <3", "Hi there"),
        ("(items 7 and 8)", "(items 7 and 8)"),
        ("🎉🎉", ""),
        ("***", ""),
        ("— …", ""),
        ("a\u200bb\u00a0c\x00d", "ab c d"),
    ],
)
def test_emoji_and_what_has_no_sound_is_skipped(text: str, spoken: str) -> None:
    assert say(text) == spoken


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("# Title\n", "Title."),
        ("## What now? ##\n", "What now?"),
        ("- one\n* two\n+ three\n", "one. two. three."),
        ("- [ ] open\n- [x] done\n", "open. done."),
        ("1. First\n2) Second!\n", "1, First. 2, Second!"),
        ("> quoted **words**.\n", "quoted words."),
        ("| Name | Age |\n|:-----|----:|\n| Al\\|ice | 30 % |\n", "Name, Age. Al, ice, 30 percent."),
        ("above\n\n---\n\nbelow\n\n", "above. below."),
        ("[1]: https://example.com\n", ""),
        ("a line that\ngoes on\n\n", "a line that goes on."),
        ("Roses are red\nViolets are blue\n\n", "Roses are red, Violets are blue."),
    ],
)
def test_lines_are_read_as_sentences(text: str, spoken: str) -> None:
    assert say(text) == spoken


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Here:\n```python\nprint(1)\n```\nDone.", "Here: Code omitted. Done."),
        ("~~~\n```\nstill code\n~~~\nDone.", "Code omitted. Done."),
        ("````\n```\nstill code\n````\nDone.", "Code omitted. Done."),
        ("```never closed\nx", "Code omitted."),
        ("```inline```", "inline"),
    ],
)
def test_code_blocks_are_replaced_by_a_remark(text: str, spoken: str) -> None:
    assert say(text) == spoken


def test_an_open_code_block_and_an_open_line_are_carried_to_the_next_piece() -> None:
    state = SpeakableState()
    heard = []
    for piece in ("# A title, ", "cut\n", "```\nx = 1\n", "y = 2\n``", "`\n", "``` \n", "- one, ", "two\n"):
        spoken, state = speakable(piece, state)
        heard.append(spoken)
    assert heard == ["A title,", "cut.", "Code omitted.", "", "", "", "one,", "two."]


def test_without_words_signs_stay_and_emoji_go() -> None:
    text = "**50 %** kosten 5 € → 20 °C 😊, siehe [hier](https://example.de)\n```\nx\n```\n"
    assert say(text, SpeakableState(PLAIN)) == "50 % kosten 5 € → 20 °C, siehe hier,"


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("plain", LineKind.TEXT),
        ("1999 was good", LineKind.TEXT),
        ("#hashtag", LineKind.TEXT),
        ("**bold** start", LineKind.TEXT),
        ("[Note]: long ago", LineKind.TEXT),
        ("``` one line ```", LineKind.TEXT),
        ("  - nested", LineKind.ITEM),
        ("> 3. quoted", LineKind.ITEM),
        ("### x", LineKind.HEADING),
        ("|x|", LineKind.TABLE),
        ("* * *", LineKind.RULE),
        ("=====", LineKind.RULE),
        ("   ```js", LineKind.FENCE),
    ],
)
def test_a_line_is_told_by_its_beginning(line: str, kind: LineKind) -> None:
    assert line_kind(line) is kind


@given(st.lists(st.one_of(MARKDOWN, st.text(st.characters(exclude_categories=())))), st.sampled_from([ENGLISH, PLAIN]))
@settings(deadline=None)
def test_no_text_raises_or_leaves_a_control_character(pieces: list[str], wording: Wording) -> None:
    state = SpeakableState(wording)
    for piece in pieces:
        spoken, state = speakable(piece, state)
        assert not set(spoken) & set("\n\t\x00`")
        assert spoken == spoken.strip()
        assert not spoken or any(character.isalnum() for character in spoken)
