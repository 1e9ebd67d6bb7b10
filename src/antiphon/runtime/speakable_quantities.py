"""What English speech engines misread of numbers, dates, times and units. Pure; one line of text at a time.

They read most by themselves: cardinals, ordinals, years, clock times, ISO dates, fractions, common units and
abbreviations. Here is what the embedded one gets wrong, told to it in a form that every engine reads; numbers stay
digits.
"""

import re
from collections.abc import Callable

__all__ = ["say_quantities"]

_NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
_COUNT = rf"(?:\d+ )?\d/\d|{_NUMBER}\s?[½⅓⅔¼¾⅛]|[½⅓⅔¼¾⅛]|{_NUMBER}"
_SEPARATE = r"(?<![\w.,/:-])"
"""In front of a number that is not a part of something longer."""
_CLOCK = r"\d{1,2}(?::\d\d)?(?:\s?[AaPp]\.?[Mm]\b\.?)?"
_CLOCK_SURELY = r"\d{1,2}(?::\d\d|(?::\d\d)?\s?[AaPp]\.?[Mm]\b)"
_MONTHS = "Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec"

_PHONE_DIGITS = 8

_UNITS = {
    "m": "meter", "g": "gram", "l": "liter", "L": "liter", "s": "second", "h": "hour", "V": "volt", "W": "watt",
    "Wh": "watt hour", "tbsp": "tablespoon", "tsp": "teaspoon", "kcal": "kilocalorie", "dB": "decibel", "ha": "hectare",
    "m²": "square meter", "m2": "square meter", "km²": "square kilometer", "km2": "square kilometer",
    "cm²": "square centimeter", "ft²": "square foot", "m³": "cubic meter", "m3": "cubic meter",
    "cm³": "cubic centimeter", "m/s": "meter per second", "Mbit/s": "megabit per second",
    "Gbit/s": "gigabit per second", "kB/s": "kilobyte per second", "MB/s": "megabyte per second",
    "GB/s": "gigabyte per second",
}  # fmt: skip
_UNIT_NAMES = "|".join(re.escape(unit) for unit in sorted(_UNITS, key=len, reverse=True))
_MONEY = {
    "USD": ("US dollar", "US dollars"), "EUR": ("euro", "euros"), "GBP": ("British pound", "British pounds"),
    "CHF": ("Swiss franc", "Swiss francs"), "CAD": ("Canadian dollar", "Canadian dollars"),
    "AUD": ("Australian dollar", "Australian dollars"), "JPY": ("yen", "yen"), "INR": ("rupee", "rupees"),
}  # fmt: skip
_PARTS = {
    "½": "a half", "1/2": "a half", "⅓": "a third", "1/3": "a third", "⅔": "two thirds", "2/3": "two thirds",
    "¼": "a quarter", "1/4": "a quarter", "¾": "three quarters", "3/4": "three quarters", "⅛": "an eighth",
    "1/8": "an eighth",
}  # fmt: skip
_PART_NAMES = ("half", "third", "quarter", "fifth", "sixth", "seventh", "eighth", "ninth")


def _one_by_one(match: re.Match[str]) -> str:
    """A telephone number: its digits, with a short pause between its groups."""
    groups = re.findall(r"\d+", match[0])
    if sum(map(len, groups)) < _PHONE_DIGITS:
        return match[0]
    plus = "plus " if match[0].startswith("+") else ""
    return plus + ", ".join(" ".join(group) for group in groups)


def _spelled(match: re.Match[str]) -> str:
    return f"{match[1]} {' '.join(match[2])}"


def _half_of_day(match: re.Match[str]) -> str:
    """With full stops: "AM" before another word is taken for the verb."""
    return f" {match[1].upper()}.M."


def _iso_date(match: re.Match[str]) -> str:
    day, month, year = (int(part) for part in match.groups())
    return f"{year}-{month:02}-{day:02}" if 1 <= day <= 31 and 1 <= month <= 12 else match[0]


def _points(match: re.Match[str]) -> str:
    """A version has points, an address of a machine has dots."""
    numbers = match[2].split(".")
    if len(numbers) == 2 and not match[1]:
        return match[0]
    version = "version " if match[1] else ""
    return version + (" dot " if len(numbers) > 3 else " point ").join(numbers)


def _fraction(match: re.Match[str]) -> str:
    count, parts = int(match[1]), int(match[2])
    if not 0 < count < parts <= 9:
        return match[0]
    name = _PART_NAMES[parts - 2]
    return f"{'one' if count == 1 else count} {name}{'s' if count > 1 else ''}"


def _unit(match: re.Match[str]) -> str:
    number, name = match[1], _UNITS[match[2]]
    if number == "1" or number in _PARTS:
        return f"{number} {name}"
    counted, per, time = name.partition(" per ")
    return f"{number} {'square feet' if counted == 'square foot' else counted + 's'}{per}{time}"


def _scaled(match: re.Match[str]) -> str:
    number, scale = match[1], match[2]
    if scale == "K" and float(number.replace(",", "")) < 10:
        return match[0]  # 4K is a screen, 5K a race
    return f"{number} {({'k': 'thousand', 'm': 'million', 'b': 'billion'})[scale.lower()]}"


_RULES: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"\bNo\.\s?(?=\d)", "number "),
        (r"\bNos\.\s?(?=\d)", "numbers "),
        (r"\bp\.\s?(?=\d)", "page "),
        (rf"\b({_MONTHS})\.(?=\s\d)", r"\1"),
        # numbers as they are written elsewhere
        (r"(?<=\d)[\u00a0\u202f](?=\d{3}(?!\d))", ","),
        (
            r"(?<![\w.,])\d{1,3}(?:\.\d{3})+(?:,\d+|(?<=\.\d{3}\.\d{3}))(?![.,]?\w)",
            lambda match: match[0].translate({46: 44, 44: 46}),
        ),
        (r"(?<![\w.,:-])\.(?=\d)", "0."),
        # telephone numbers
        (r"(?<![\w.])\+\d{1,3}(?:[\s.-]?\(?\d{1,4}\)?){2,5}(?!\w)", _one_by_one),
        (r"(?<![\w.])(?:1[\s-])?\(\d{3}\)\s?\d{3}[-.\s]\d{4}(?!\w)", _one_by_one),
        (r"(?<![\w.-])(?:1-\d{3}-\d{3}-\d{4}|\d{3}\.\d{3}\.\d{4})(?![\w-])", _one_by_one),
        (r"\b((?:[Cc]all|[Dd]ial)(?:ing)?) (000|11[0-289]|[2-9]11|988|999)(?![\w.,-]*\d)", _spelled),
        (r"\b((?:ZIP|zip|PIN|[Cc]ode|[Ee]xtension)(?: code)?(?: is|:)?) (\d{3,10})(?![\w-])", _spelled),
        # dates, times, scores
        (r"(?<![\w.])(\d{1,2})\.(\d{1,2})\.(\d{4})(?!\w)", _iso_date),
        (r"\b(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?(?!\w)", r"\1, \2"),
        (rf"{_SEPARATE}({_CLOCK})\s?[-–]\s?(?={_CLOCK_SURELY})", r"\1 to "),
        (r"(?<=\d)\s?([AaPp])[Mm]\b\.?", _half_of_day),
        (r"(?<![\w:.])(\d{1,3}):(\d)(?![\w:])", r"\1 to \2"),
        (r"(?<![\w.])((?:[Vv]ersion )?v|v\.\s?)?(\d+(?:\.\d+)+)(?!\.?\w)", _points),
        # units, parts of a whole
        (rf"(?<![\w.,$€£/])({_COUNT})(?:\s?(?!s\b)|\s)({_UNIT_NAMES})(?![\w/²³'’])", _unit),
        (r"(?<=\d)\s?([½⅓⅔¼¾⅛])", lambda match: f" and {_PARTS[match[1]]}"),
        (rf"{_SEPARATE}(\d{{1,3}}) (1/2|1/3|2/3|1/4|3/4|1/8)(?![\w/])", lambda m: f"{m[1]} and {_PARTS[m[2]]}"),
        (rf"{_SEPARATE}(\d+(?:\.\d+)?)/(10|100)(?![\w/])", r"\1 out of \2"),
        (rf"{_SEPARATE}(\d(?:\.\d)?)/5(?= stars?\b)", r"\1 out of 5"),
        (r"(?<![\w./])(\d)/(\d)(?![\w/])", _fraction),
        # amounts
        (rf"([$€£])({_NUMBER})\s?[-–]\s?\1?(?={_NUMBER})", r"\2 to \1"),
        (rf"(?<![\w.,])({_NUMBER})\s?({'|'.join(_MONEY)})\b", lambda m: f"{m[1]} {_MONEY[m[2]][m[1] != '1']}"),
        (r"(?<![\w.,])(\d+),(\d\d)\s?(?=[€£])", r"\1.\2 "),
        (rf"(?<![\w.,$€£])(?!401k)({_NUMBER})([kKMB])\b(?!/)", _scaled),
        # sizes
        (r"(?<![\w.])(\d)['’′]\s?(\d{1,2})(?:[\"”″]|''|(?=\s))", r"\1 foot \2"),
        (r"\b(\d{1,2}) ?(?:ft|feet|foot)\.? (\d{1,2}) ?in\b(?!\.\w)", r"\1 foot \2"),
        (r"(?<=\d)x\b(?!\s?\d)", " times"),
        (r"(?<=\d)(?<!\b0)\s?x\s?(?=\d)", " by "),
    )
)


_LATIN = ((re.compile(r"\be\.\s?g\.,?"), "for example"), (re.compile(r"\bi\.\s?e\.,?"), "that is"))
_ANY_NUMBER = re.compile(r"[\d½⅓⅔¼¾⅛]")


def say_quantities(text: str) -> str:
    for pattern, words in _LATIN:
        text = pattern.sub(words, text)
    if not _ANY_NUMBER.search(text):
        return text
    for rule, replacement in _RULES:
        text = rule.sub(replacement, text)
    return text
