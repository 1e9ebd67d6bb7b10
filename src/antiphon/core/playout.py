"""What became audible of an assistant's audio, and which of its words that was.

Without a paced transport the core knows only what was *sent*, and the clock: audio is played in real time from when it
was sent, one piece after the other. That bounds what can have been heard; what was heard is what the client's
``truncate`` says. A paced transport says when an item began and ended, and how far it was where it was cut; between
these the clock counts.
"""

import math
import unicodedata
from dataclasses import dataclass, field

from antiphon.audio.pcm import ms_to_samples, samples_to_ms
from antiphon.core.inputs import INPUT_HZ

__all__ = ["Playback", "Playout"]

_SLOW_SAMPLES_PER_CHARACTER = INPUT_HZ // 12
"""Slow speech has 12 characters a second; 15 are usual."""
_GAP_S = 0.001
"""Below this a gap is a rounding error."""
_STOPS_LATE_S = 1.5
_MARKUP = frozenset("*_`~#|<>[]{}\\")
_SYLLABLE_WEIGHT = 3
"""Of a digit, an ideograph or a Korean syllable: it takes as long as three letters of an alphabet."""
_DEPENDENT = frozenset("ーｰ々ぁぃぅぇぉっゃゅょァィゥェォッャュョ")
"""They belong to the letter before them."""


@dataclass(frozen=True, slots=True)
class _Span:
    end_sample: int
    text_start: int
    text_end: int


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Audio that is played without a gap."""

    starts_s: float
    first_sample: int


@dataclass(slots=True)
class Playout:
    """The audio of one item: how much was sent, when it can be played, and the characters of the text it speaks."""

    speed: float = 1.0
    sent_samples: int = 0
    heard_samples: int | None = None
    """Set by truncation: nothing after it was heard."""
    stopped_s: float | None = None
    """When its listener was told to stop playing it, before its end."""
    whole: bool = False
    """Set once nothing more will be sent. Until then the last span may have more audio to come."""
    _spans: list[_Span] = field(default_factory=list)
    _stretches: list[_Stretch] = field(default_factory=list)

    def sent(self, samples: int, text_start: int, text_end: int, starts_s: float | None = 0.0) -> None:
        """``samples`` more were sent, to be played from ``starts_s`` (None: behind what was sent before, or once it has
        begun); they speak the characters ``text_start:text_end`` of the item."""
        if starts_s is not None and (not self._stretches or starts_s > self.ends_s + _GAP_S):
            self._stretches.append(_Stretch(starts_s, self.sent_samples))
        self.sent_samples += samples
        last = self._spans[-1] if self._spans else None
        if last and (last.text_start, last.text_end) == (text_start, text_end):
            self._spans.pop()
        self._spans.append(_Span(self.sent_samples, text_start, text_end))

    def began(self, now: float) -> None:
        """Its first sample is played now."""
        if not self._stretches:
            self._stretches.append(_Stretch(now, 0))

    def ended(self, now: float) -> None:
        """All that was sent so far has been played."""
        self._stretches.append(_Stretch(now, self.sent_samples))

    @property
    def ends_s(self) -> float:
        """When what was sent so far will have been played."""
        if not self._stretches:
            return 0.0
        last = self._stretches[-1]
        return last.starts_s + (self.sent_samples - last.first_sample) / INPUT_HZ

    def heard_by(self, now: float) -> int:
        """How many samples can have been heard by ``now``."""
        return self.played_by(now) if self.heard_samples is None else self.heard_samples

    def played_by(self, now: float) -> int:
        """How many samples its listener can have played by ``now``."""
        return self._reached_by(min(now, self.ends_s) if self.stopped_s is None else self.stopped_s)

    def truncate(self, ms: int) -> int:
        """Only the first ``ms`` were heard. Returns the true end, never more than was sent."""
        heard = min(ms_to_samples(ms, INPUT_HZ), self.sent_samples)
        self.heard_samples = heard if self.heard_samples is None else min(heard, self.heard_samples)
        return samples_to_ms(self.heard_samples, INPUT_HZ)

    # --- words -----------------------------------------------------------------------------------------------------

    def text_by(self, text: str, now: float) -> str:
        """The part of ``text`` that can have been heard by ``now``."""
        heard = self.played_by(now)
        return text if self.whole and heard >= self.sent_samples else self.text_until(text, heard)

    def text_between(self, text: str, from_s: float, to_s: float) -> str:
        """The words of ``text`` that were audible between two moments; listeners stop a little after they are told."""
        until_s = min(to_s, self.ends_s, math.inf if self.stopped_s is None else self.stopped_s + _STOPS_LATE_S)
        start, end = (self.text_until(text, self._reached_by(moment_s)) for moment_s in (from_s, until_s))
        return text[len(start) : len(end)].strip()

    def heard_text(self, text: str) -> str:
        """The part of ``text`` that was heard: of what was sent, what truncation left."""
        return self.text_until(text, self.sent_samples if self.heard_samples is None else self.heard_samples)

    def text_until(self, text: str, samples: int) -> str:
        """The part of ``text`` that the first ``samples`` speak, cut where a word is complete, rounded down."""
        start = 0
        kept = 0
        for span in self._spans:
            end_sample = self._end_of(span, start, text)
            if end_sample <= samples:
                start, kept = end_sample, max(kept, span.text_end)
                continue
            share = (samples - start) / (end_sample - start)
            kept = max(kept, _word_boundary(text, span.text_start, _place(text, span, share)))
            break
        if _is_inside_word(text, kept):
            # Engines may report a span that ends inside a word.
            kept = _word_boundary(text, 0, kept)
        return text[:kept].rstrip()

    def _reached_by(self, now: float) -> int:
        played = 0
        ends = [stretch.first_sample for stretch in self._stretches[1:]] + [self.sent_samples]
        for stretch, end in zip(self._stretches, ends, strict=False):
            if stretch.starts_s <= now:
                played = min(end, stretch.first_sample + round((now - stretch.starts_s) * INPUT_HZ))
        return played

    def _end_of(self, span: _Span, start: int, text: str) -> int:
        """Where its speech ends; while that is not known, as late as slow speech would."""
        if self.whole or span is not self._spans[-1]:
            return span.end_sample
        length = sum(map(_weight, text[span.text_start : span.text_end]))
        return max(span.end_sample, start + round(length * _SLOW_SAMPLES_PER_CHARACTER / self.speed))


class Playback:
    """The listener's loudspeaker, as far as the clock tells: what was sent is played in real time and in its order."""

    def __init__(self) -> None:
        self.ends_s = 0.0
        """When everything that was sent will have been played."""
        self._playing: list[Playout] = []

    def play(self, playout: Playout, samples: int, text_start: int, text_end: int, now: float) -> None:
        """``samples`` of an item were sent; they speak the characters ``text_start:text_end`` of it."""
        starts_s = max(self.ends_s, now)
        playout.sent(samples, text_start, text_end, starts_s)
        self.ends_s = starts_s + samples / INPUT_HZ
        if not self._playing or self._playing[-1] is not playout:
            self._playing = [other for other in self._playing if other.ends_s > now]
            self._playing.append(playout)

    def stop(self, now: float) -> None:
        """The listener was told to stop: what was not played by ``now`` will not be heard."""
        for playout in self._playing:
            if playout.ends_s > now and playout.stopped_s is None:
                playout.stopped_s = now
        self._playing.clear()
        self.ends_s = min(self.ends_s, now)

    def plays(self, playout: Playout, now: float) -> bool:
        return any(other is playout for other in self._playing) and playout.ends_s > now


# --- words ---------------------------------------------------------------------------------------------------------


def _place(text: str, span: _Span, share: float) -> int:
    """Where in a span's text its speech is after ``share`` of its time: letters take their weight in time."""
    weights = [_weight(letter) for letter in text[span.text_start : span.text_end]]
    left = share * sum(weights)
    for place, weight in enumerate(weights, span.text_start):
        left -= weight
        if left < 0:
            return place
    return min(span.text_end, len(text))


def _weight(letter: str) -> int:
    if letter in _MARKUP:
        return 0
    return _SYLLABLE_WEIGHT if letter.isdigit() or _is_wide(letter) else 1


def _is_wide(letter: str) -> bool:
    return letter > "\u3000" and letter.isalpha() and unicodedata.east_asian_width(letter) == "W"


def _stands_alone(letter: str) -> bool:
    """Whether it is of a script that writes no spaces, and a word or syllable by itself: Han and kana."""
    return _is_wide(letter) and not "\uac00" <= letter <= "\ud7a3"


def _word_boundary(text: str, start: int, end: int) -> int:
    """The last place at or before ``end`` where a word of ``text`` is complete: at a space, or behind any letter of a
    script that writes none. Other words without spaces are kept whole or not at all."""
    end = min(end, len(text))
    while end > start and not _is_boundary(text, end):
        end -= 1
    return end


def _is_inside_word(text: str, place: int) -> bool:
    return 0 < place < len(text) and _is_of_word(text[place - 1]) and _is_of_word(text[place])


def _is_of_word(letter: str) -> bool:
    return letter.isalnum() or unicodedata.category(letter).startswith("M")


def _is_boundary(text: str, end: int) -> bool:
    if end == len(text) or text[end - 1].isspace() or text[end].isspace():
        return True
    return (_stands_alone(text[end - 1]) or _stands_alone(text[end])) and text[end] not in _DEPENDENT
