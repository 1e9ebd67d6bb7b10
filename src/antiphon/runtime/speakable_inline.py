"""What a stretch of markdown inside one line sounds like. Pure.

A clause may begin or end inside bold or italic text, so delimiters are dropped one by one, never paired. Own code
rather than a markdown parser: those want whole documents, and what is needed here is the text alone.
"""

import html
import re

from antiphon.runtime.speakable_symbols import Wording, say_symbols

__all__ = ["say_inline"]

_CODE_SPAN = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-fA-F]{1,6}|\w{2,31});")
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,200}>|<!--[^<>]{0,200}-->")
_AUTOLINK = re.compile(r"<((?:https?://|mailto:)[^\s<>]{1,500}|[^\s<>@]{1,100}@[^\s<>@]{1,100})>")
_LINK = re.compile(r"!?\[([^\[\]]*)\](?:\(([^()\s]*(?:\([^()\s]*\)[^()\s]*)?)(?:\s[^()]*)?\)|\[[^\[\]]*\])")
_NOTE = re.compile(r"\[(?:\^[^\[\]\s]{1,40}|\d{1,3})\]")
_URL = re.compile(r"(?:https?://|www\.)[^\s<>\"'`)\]]+", re.IGNORECASE)
_HOST = re.compile(r"(?:[a-z][a-z0-9+.-]*://)?(?:[^/\s@]*@)?([^/\s:?#]+)(?::(\d+))?", re.IGNORECASE)
_EMAIL = re.compile(r"(?<![\w.+-])[\w+-]+(?:\.[\w+-]+)*@[\w-]+(?:\.[\w-]+)+")
_DOTTED = re.compile(r"(?<![\w.])(?:[\w-]{2,}\.)+[a-z][a-z0-9]{1,9}(?![\w.]*\w)(?:/[^\s<>)\]]*)?")
_TEX_FRACTION = re.compile(r"\\d?frac\s?\{([^{}]*)\}\s?\{([^{}]*)\}")
_TEX_ROOT = re.compile(r"\\sqrt\s?\{([^{}]*)\}")
_TEX_TIMES = re.compile(r"\\(?:times|cdot)\b")
_TEX_WORD = re.compile(r"\\([a-zA-Z]+)")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_EMOTICON = re.compile(r"(?<!\S)(?:[:;][-']?[)(\]DPp]|<3)(?!\w)")
_EMPHASIS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"(?<=\d)\*\*(?=\d)", "^"),
        (r"\*{2,}", ""),
        (r"(?<=[\w)])\s\*\s(?=[\w(])|(?<=[\d)])\*(?=[\d(])", " × "),
        (r"\*", ""),
        (r"(?<!\w)_{1,3}(?=\S)|(?<=\S)_{1,3}(?!\w)", ""),
        (r"_", " "),
        (r"~~|`|\$\$", ""),
    )
)
_CODE_TAG = re.compile(r"</?(\w[^<>]{0,100})>")
_CODE_SIGNS = re.compile(r"[(){}\[\];:,\"'`\\]+")
_SPACE = re.compile(r"\s+")
_BEFORE_STOP = re.compile(r"\s+([,;:!?)]|\.(?!\w))")
_DOUBLED_STOP = re.compile(r"[,;](?:\s*[,;])+")
_LOST_STOP = re.compile(r"[,;:]\s*([.!?])(?!\w)")
_LEADING_STOPS = re.compile(r"^(?:[\s,;:!?)—–]|[.-](?!\d))+")
_EMPTY_BRACKETS = re.compile(r"\(\s*\)|\"\s*\"|“\s*”")


def say_inline(text: str, wording: Wording) -> str:
    """The spoken form of a stretch without line breaks; "" if nothing in it can be said."""
    pieces: list[str] = []
    start = 0
    for span in _CODE_SPAN.finditer(text):
        pieces.append(_say_markup(text[start : span.start()], wording))
        pieces.append(_say_code(span[2], wording))
        start = span.end()
    pieces.append(_say_markup(text[start:], wording))
    return _tidy(say_symbols("".join(pieces), wording))


def _say_markup(text: str, wording: Wording) -> str:
    text = _AUTOLINK.sub(r" \1 ", text)
    text = _ENTITY.sub(lambda match: html.unescape(match[0]), _TAG.sub(" ", text))
    text = _LINK.sub(lambda match: match[1] or match[2] or "", text)
    text = _NOTE.sub("", text)
    text = _URL.sub(lambda match: _say_url(match[0], wording), text)
    text = _EMAIL.sub(lambda match: _say_email(match[0], wording), text)
    text = _DOTTED.sub(lambda match: _say_url(match[0], wording), text)
    text = _say_tex(text)
    text = _EMOTICON.sub("", text)
    for pattern, words in _EMPHASIS:
        text = pattern.sub(words, text)
    return text


def _say_tex(text: str) -> str:
    if "\\" not in text:
        return text
    text = _TEX_FRACTION.sub(r"\1 over \2", text)
    text = _TEX_ROOT.sub(r"√ \1", text)
    text = _TEX_TIMES.sub(" × ", text)
    text = _TEX_WORD.sub(r" \1", text)
    return _ESCAPE.sub(r"\1", text)


def _say_url(url: str, wording: Wording) -> str:
    """The host alone: nobody wants to hear a path."""
    address = url.rstrip(".,;:!?*_~")
    host = _HOST.match(address)
    if host is None:
        return url
    name = host[1].removeprefix("www.")
    port = f" port {host[2]}" if host[2] else ""
    return _say_dots(name, wording) + port + url[len(address) :]


def _say_email(address: str, wording: Wording) -> str:
    if not wording.at:
        return address
    name, _, host = address.partition("@")
    return f"{_say_dots(name, wording)} {wording.at} {_say_dots(host, wording)}"


def _say_dots(name: str, wording: Wording) -> str:
    return name.replace(".", f" {wording.dot} ") if wording.dot else name


def _say_code(code: str, wording: Wording) -> str:
    """Names and signs of a short piece of code; brackets and quotes are not said."""
    code = _CODE_TAG.sub(r" \1 ", code)
    code = re.sub(r"(?<=\w)\.(?=[a-zA-Z_])", f" {wording.dot} " if wording.dot else ".", code)
    code = re.sub(r"/(?=\w)", " slash ", code) if wording.dot else code
    code = re.sub(r"(?<!\S)-{1,2}(?=[a-zA-Z])", "", code)
    code = _CODE_SIGNS.sub(" ", code.replace("_", " ").replace("*", " "))
    return f" {code.strip()} " if code.strip() else ""


def _tidy(text: str) -> str:
    """One space between words, no punctuation left over from what was dropped."""
    text = _SPACE.sub(" ", text)
    text = _EMPTY_BRACKETS.sub("", text)
    text = _BEFORE_STOP.sub(r"\1", text)
    text = _DOUBLED_STOP.sub(",", text)
    text = _LOST_STOP.sub(r"\1", text)
    text = _LEADING_STOPS.sub("", text).strip()
    return text if any(character.isalnum() for character in text) else ""
