"""What became audible of an assistant's audio, and which of its words that was.

Without a paced transport the core knows only what was *sent*; what was heard is what the client's ``truncate`` says.
"""

from dataclasses import dataclass, field

from antiphon.audio.pcm import ms_to_samples, samples_to_ms
from antiphon.core.inputs import INPUT_HZ

__all__ = ["Playout"]

_SLOW_SAMPLES_PER_CHARACTER = INPUT_HZ // 12
"""Slow speech has 12 characters a second; 15 are usual."""


@dataclass(frozen=True, slots=True)
class _Span:
    end_sample: int
    text_start: int
    text_end: int


@dataclass(slots=True)
class Playout:
    """The audio of one item: how much was sent, and the characters of the item's text it speaks."""

    sent_samples: int = 0
    heard_samples: int | None = None
    """Set by truncation: nothing after it was heard."""
    whole: bool = False
    """Set once nothing more will be sent. Until then the last span may have more audio to come."""
    _spans: list[_Span] = field(default_factory=list)

    def sent(self, samples: int, text_start: int, text_end: int) -> None:
        """``samples`` more were sent; they speak the item's characters ``text_start:text_end``."""
        self.sent_samples += samples
        last = self._spans[-1] if self._spans else None
        if last and (last.text_start, last.text_end) == (text_start, text_end):
            self._spans.pop()
        self._spans.append(_Span(self.sent_samples, text_start, text_end))

    def truncate(self, ms: int) -> int:
        """Only the first ``ms`` were heard. Returns the true end, never more than was sent."""
        heard = min(ms_to_samples(ms, INPUT_HZ), self.sent_samples)
        self.heard_samples = heard if self.heard_samples is None else min(heard, self.heard_samples)
        return samples_to_ms(self.heard_samples, INPUT_HZ)

    def text_until(self, text: str, samples: int) -> str:
        """The part of ``text`` that the first ``samples`` speak, cut at a word boundary, rounded down."""
        start = 0
        kept = 0
        for span in self._spans:
            end_sample = self._end_of(span, start)
            if end_sample <= samples:
                start, kept = end_sample, max(kept, span.text_end)
                continue
            share = (samples - start) / (end_sample - start)
            kept = max(
                kept,
                _word_boundary(text, span.text_start, span.text_start + int(share * (span.text_end - span.text_start))),
            )
            break
        return text[:kept].rstrip()

    def _end_of(self, span: _Span, start: int) -> int:
        """Where its speech ends; while that is not known, as late as slow speech would."""
        if self.whole or span is not self._spans[-1]:
            return span.end_sample
        return max(span.end_sample, start + (span.text_end - span.text_start) * _SLOW_SAMPLES_PER_CHARACTER)

    def heard_text(self, text: str) -> str:
        """The part of ``text`` that can have been heard: what was sent, cut by truncation."""
        return self.text_until(text, self.sent_samples if self.heard_samples is None else self.heard_samples)


def _word_boundary(text: str, start: int, end: int) -> int:
    """The last place at or before ``end`` where a word of ``text`` is complete."""
    end = min(end, len(text))
    while end > start and not (text[end - 1].isspace() or end == len(text) or text[end : end + 1].isspace()):
        end -= 1
    return end
