"""How amounts, units and signs are said. Pure; one line of text at a time.

Numbers stay digits: every speech engine reads those, and each in its own voice's language rules.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field

from antiphon.runtime.speakable_quantities import say_quantities

__all__ = ["ENGLISH", "PLAIN", "Wording", "say_symbols"]


@dataclass(frozen=True, slots=True)
class Wording:
    """The words for what is not a word. Without them (``PLAIN``) signs are left to the speech engine."""

    symbols: Mapping[str, str] = field(default_factory=dict)
    """Words for single characters; an empty word drops the character."""
    currencies: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)
    """Sign -> one unit, several units, several hundredths ("" where there are none)."""
    dot: str = ""
    """What stands for the dot of an address or a file name; "" leaves the dot."""
    at: str = ""
    code_omitted: str = ""
    """Said instead of a code block; "" says nothing."""


ENGLISH = Wording(
    symbols={
        "%": "percent", "‰": "per thousand", "&": "and", "@": "at", "=": "equals", "≠": "is not equal to",
        "≈": "is about", "≤": "is at most", "≥": "is at least", "<": "is less than", ">": "is greater than",
        "+": "plus", "−": "minus", "±": "plus or minus", "×": "times", "÷": "divided by", "√": "square root of",
        "∞": "infinity", "π": "pi", "∑": "sum of", "∈": "in", "→": "to", "⇒": "to", "⟶": "to", "➜": "to", "➔": "to",
        "➡": "to", "←": "from", "↔": "and", "↑": "up", "↓": "down", "½": "one half", "¼": "one quarter",
        "¾": "three quarters", "⅓": "one third", "⅔": "two thirds", "²": "squared", "³": "cubed", "°": "degrees",
        "µ": "micro", "©": "copyright", "§": "section", "¶": "paragraph", "№": "number", "¢": "cents",
        "^": "to the power of", "®": "", "™": "",
    },
    currencies={
        "$": ("dollar", "dollars", "cents"),
        "€": ("euro", "euros", "cents"),
        "£": ("pound", "pounds", "pence"),
        "¥": ("yen", "yen", ""),
        "₹": ("rupee", "rupees", ""),
    },
    dot="dot",
    at="at",
    code_omitted="Code omitted.",
)  # fmt: skip
"""The default: the embedded speech engine speaks English."""

PLAIN = Wording()
"""For speech engines of other languages: markup and emoji go, signs stay."""

_SCALES = {"k": "thousand", "m": "million", "b": "billion", "bn": "billion", "t": "trillion"}
_NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
_AMOUNT = re.compile(
    rf"(?:\b(?:US|CA|AU|NZ|HK|A|C))?([$€£¥₹])\s?({_NUMBER})(?:\s?(thousand|million|billion|trillion)\b|(bn|[kKmMbBtT])\b)?(?!\d)"
)
_AMOUNT_BEFORE_SIGN = re.compile(rf"(?<![\d.,])({_NUMBER})\s?([€£₹])(?!\s?\d)")
_SECTION_SIGNS = re.compile(r"[•‣◦▪●○■|]|(?<=\s)·(?=\s)")

_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"(?<=\w)/(second|minute|hour|day|week|month|year|person|user|item)\b", r" per \1"),
        (r"(?<![\d.,])(1)\s?°\s?([CF])\b", r"\1 degree \2"),
        (r"°\s?([CF])\b", r" degrees \1"),
        (r"(degrees?) C\b", r"\1 Celsius"),
        (r"(degrees?) F\b", r"\1 Fahrenheit"),
        (r"<?[-=]{1,3}>", " to "),
        (r"<[-=]{2,3}", " from "),
        (r"!=", " ≠ "),
        (r"<=", " ≤ "),
        (r">=", " ≥ "),
        (r"={2,3}", " = "),
        (r"#(?=\d)", "number "),
        (r"(?<=\b[A-G])#", " sharp"),
        (r"#(?=\w)", "hashtag "),
        (r"~\s?(?=[\d$€£])", "about "),
        (r"(?<=\w)\^2\b", " squared"),
        (r"(?<=\w)\^3\b", " cubed"),
        (r"(?<=\d)\s?–\s?(?=\d)", " to "),
        (r"(?<=[\d)])\s-\s(?=[\d(])", " minus "),
        (r"(?<![\w.)])-(?=\d)", "minus "),
    )
)
_DASH = re.compile(r"\s[-–]{1,3}\s|(?<=\w)--(?=\w)")
_NOT_SAID = re.compile(r"[{}\[\]\\~#]")


def say_symbols(text: str, wording: Wording) -> str:
    """Replace signs by words and drop what has no sound: emoji, brackets, control characters."""
    if wording.symbols:
        text = say_quantities(text)
        text = _AMOUNT.sub(lambda match: _amount(match, wording), text)
        text = _AMOUNT_BEFORE_SIGN.sub(lambda match: _amount_before_sign(match, wording), text)
        for pattern, words in _RULES:
            text = pattern.sub(words, text)
    text = _DASH.sub(", ", text)
    text = _SECTION_SIGNS.sub(", ", text)
    text = _NOT_SAID.sub(" ", text)
    return "".join(_say(character, wording) for character in text)


def _amount(match: re.Match[str], wording: Wording) -> str:
    sign, number, scale, short_scale = match.groups()
    one, many, hundredths = wording.currencies[sign]
    scale = scale or _SCALES.get((short_scale or "").lower())
    if scale:
        return f"{number} {scale} {many}"
    whole, _, cents = number.partition(".")
    if not cents:
        return f"{_grouped(whole)} {one if whole == '1' else many}"
    if len(cents) != 2 or not hundredths:
        return f"{_grouped(whole)}.{cents} {many}"
    return _with_cents(whole, int(cents), wording.currencies[sign])


def _with_cents(whole: str, cents: int, names: tuple[str, str, str]) -> str:
    one, many, hundredths = names
    units = f"{_grouped(whole)} {one if whole == '1' else many}"
    if not cents:
        return units
    small = f"{cents} {hundredths.removesuffix('s') if cents == 1 else hundredths}"
    return small if not int(whole.replace(",", "")[:18]) else f"{units} and {small}"


def _amount_before_sign(match: re.Match[str], wording: Wording) -> str:
    number, sign = match.groups()
    whole, _, cents = number.partition(".")
    one, many, hundredths = names = wording.currencies[sign]
    if len(cents) == 2 and hundredths:
        return _with_cents(whole, int(cents), names)
    return f"{number} {one if number == '1' else many}"


def _grouped(whole: str) -> str:
    """With thousands separators: four bare digits would be read as a year."""
    if "," in whole or not 4 <= len(whole) <= 18:
        return whole
    return f"{int(whole):,}"


def _say(character: str, wording: Wording) -> str:
    words = wording.symbols.get(character)
    if words is not None:
        return f" {words} " if words else ""
    if character.isalnum() or character == " ":
        return character
    return _keep(character)


def _keep(character: str) -> str:
    """Emoji are of the categories So and Sk, joined and varied by Cf, Me and the variation selectors (Mn)."""
    category = unicodedata.category(character)
    if category in ("Cc", "Zl", "Zp", "Zs"):
        return " "
    if character == "°":
        return character
    if category in ("So", "Sk", "Me", "Cs", "Co", "Cn") or "\ufe00" <= character <= "\ufe0f":
        return ""
    return "" if category == "Cf" and character != "\u200c" else character
