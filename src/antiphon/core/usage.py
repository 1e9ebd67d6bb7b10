"""The usage of a response, by modality.

What the model counted is text. Speech in a prompt is read by the model as words, but told as the API counts audio: by
its length, in place of its words. So a conversation costs the same audio tokens here as with the hosted API, and the
parts always add up to the totals.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from antiphon.audio.pcm import samples_to_ms
from antiphon.core.context import TOKENS_PER_ITEM, entry_tokens
from antiphon.core.conversation import Entry
from antiphon.core.inputs import INPUT_HZ
from antiphon.core.prompt import part_text
from antiphon.protocol.items import ContentPart, InputAudio, InputImage, Message, OutputAudio
from antiphon.protocol.response import CachedTokensDetails, InputTokenDetails, OutputTokenDetails, Usage
from antiphon.vocabulary.llm import TokenUsage

__all__ = ["PromptSize", "prompt_size", "usage_of"]

_MS_PER_USER_TOKEN = 100
_MS_PER_ASSISTANT_TOKEN = 50


@dataclass(frozen=True, slots=True)
class _Share:
    """A stretch of a prompt."""

    modality: Literal["text", "audio", "image"]
    read: int
    """Tokens that the model reads, as it counts."""
    told: int
    """Tokens of it in the usage. For text that is what the model says in the end."""


@dataclass(frozen=True, slots=True)
class PromptSize:
    """What a prompt is made of, in its order."""

    shares: tuple[_Share, ...] = ()

    @property
    def tokens(self) -> int:
        """As the model reads it; an estimate."""
        return sum(share.read for share in self.shares)


def prompt_size(fixed_tokens: int, entries: Iterable[Entry]) -> PromptSize:
    """``fixed_tokens``: instructions and tools, which stand before the items."""
    shares = [_Share("text", fixed_tokens, 0)]
    for entry in entries:
        shares += _shares_of(entry)
    return PromptSize(tuple(shares))


def usage_of(prompt: PromptSize, counted: TokenUsage, *, spoken_samples: int) -> Usage:
    """``counted``: by the model; ``spoken_samples``: how much speech the response has."""
    read = {"audio": 0, "image": 0}
    told = {"audio": 0, "image": 0}
    for share in prompt.shares:
        if share.modality != "text":
            read[share.modality] += share.read
            told[share.modality] += share.told
    told["image"] = min(told["image"], max(0, counted.input_tokens - read["audio"]))
    text = max(0, counted.input_tokens - sum(read.values()))
    spoken = samples_to_ms(spoken_samples, INPUT_HZ) // _MS_PER_ASSISTANT_TOKEN
    cached = _cached(prompt, counted, text, told["image"])
    input_tokens = text + told["audio"] + told["image"]
    output_tokens = counted.output_tokens + spoken
    return Usage(
        total_tokens=input_tokens + output_tokens,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        input_token_details=InputTokenDetails(
            text_tokens=text,
            audio_tokens=told["audio"],
            image_tokens=told["image"],
            cached_tokens=cached.text_tokens + cached.audio_tokens + cached.image_tokens,
            cached_tokens_details=cached,
        ),
        output_token_details=OutputTokenDetails(text_tokens=counted.output_tokens, audio_tokens=spoken),
    )


# --- what is cached ------------------------------------------------------------------------------------------------


def _cached(prompt: PromptSize, counted: TokenUsage, text_tokens: int, image_tokens: int) -> CachedTokensDetails:
    """The engine had read a beginning of the prompt before; whatever stands in it was cached."""
    if not counted.cached_tokens or not counted.input_tokens:
        return CachedTokensDetails()
    # The shares are estimates, and stand for all of what the model counted.
    left = counted.cached_tokens * prompt.tokens / counted.input_tokens
    told = {"audio": 0, "image": 0}
    words = 0.0
    for share in prompt.shares:
        covered = min(1.0, left / share.read) if share.read else float(left > 0)
        left = max(0.0, left - share.read)
        if share.modality != "text":
            told[share.modality] += int(share.told * covered)
            words += share.read * covered
    text = max(0, min(text_tokens, counted.cached_tokens - round(words)))
    return CachedTokensDetails(
        text_tokens=text, audio_tokens=told["audio"], image_tokens=min(told["image"], image_tokens)
    )


# --- what an item is made of ---------------------------------------------------------------------------------------


def _shares_of(entry: Entry) -> list[_Share]:
    size = entry_tokens(entry)
    if not isinstance(entry.item, Message):
        return [_Share("text", size, 0)]
    parts = entry.item.content
    lengths = [len(part_text(entry, index)) for index in range(len(parts))]
    words = _split(size - TOKENS_PER_ITEM - entry.image_tokens, lengths)
    shares = [
        _share_of(entry, index, part, tokens) for index, (part, tokens) in enumerate(zip(parts, words, strict=True))
    ]
    return [_Share("text", TOKENS_PER_ITEM, 0), *shares]


def _split(tokens: int, lengths: Sequence[int]) -> list[int]:
    """An item is measured as a whole; each part has its share by the length of its words."""
    whole = sum(lengths)
    return [tokens * length // whole if whole else 0 for length in lengths]


def _share_of(entry: Entry, index: int, part: ContentPart, tokens: int) -> _Share:
    match part:
        case InputAudio() if length_ms := entry.user_audio_ms.get(index, 0):
            return _Share("audio", tokens, length_ms // _MS_PER_USER_TOKEN)
        case OutputAudio() if entry.playout is not None:
            heard = entry.playout.heard_samples
            samples = entry.playout.sent_samples if heard is None else heard
            return _Share("audio", tokens, samples_to_ms(samples, INPUT_HZ) // _MS_PER_ASSISTANT_TOKEN)
        case InputImage():
            # Where the model does not see, the words that it gets in place of the image; else what an image is taken to
            # be, since the model says only what it counted of all.
            tokens += entry.images[index].tokens
            return _Share("image", tokens, tokens)
        case _:
            return _Share("text", tokens, 0)
