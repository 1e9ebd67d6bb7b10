"""One utterance from its first chunk to its final transcript."""

import asyncio
from collections.abc import Callable, Iterator, Sequence

from antiphon.engines.base import Samples
from antiphon.engines.whisper.decoding import Decoded, is_certain
from antiphon.engines.whisper.languages import join_texts
from antiphon.engines.whisper.live import Heard, Hypothesis, Job, Partials
from antiphon.engines.whisper.marks import Thorough
from antiphon.vocabulary.speech import Transcript

__all__ = ["Utterance"]


class Utterance:
    """Speech in pieces, of which the last is still growing; ``abandon`` must follow, whatever happens."""

    def __init__(
        self,
        job: Job,
        *,
        longest_samples: int,
        decode: Callable[[Samples, Job], "asyncio.Future[Decoded]"],
        partials: Partials | None,
        before: Callable[[], None],
    ) -> None:
        """``decode`` begins a decode; ``before`` is called before each that somebody waits for."""
        self._job = job
        self._decode = decode
        self._before = before
        self._heard = Heard(longest_samples=longest_samples)
        self._partials = partials
        self._thorough = Thorough(job, start=decode)
        self._takes_partial = False
        """A mark waits for the partial decode that runs."""
        self._marked_at_s = 0.0
        self._done: list[Decoded] = []
        self._settled = ""

    @property
    def decoding(self) -> "asyncio.Future[Decoded] | None":
        """The decode whose end brings news."""
        return self._thorough.running or (self._partials.running if self._partials else None)

    @property
    def is_long(self) -> bool:
        return self._heard.is_long

    def add(self, chunk: bytes) -> None:
        self._heard.add(chunk)

    def mark(self) -> None:
        """Somebody wants to know now. A partial decode that heard all but silence is as good as a thorough one."""
        self._marked_at_s = self._heard.total_s
        self._takes_partial = bool(self._partials and self._partials.decodes_all(self._heard))
        if not self._takes_partial:
            self._decode_thoroughly()

    def news(self) -> Iterator[Transcript]:
        """To be called after every chunk and decode: what there is to be told."""
        if self._partials and self._settled != self._partials.stable:
            self._settled = self._partials.stable
            yield Transcript(self._settled, is_final=False, hypothesis=self._settled, audio_s=self._heard.cut_s)
        found = None
        if self._partials and self._thorough.running is None:
            found = self._partials.poll(self._heard)
            self._take(found)
        decoded = self._thorough.collect()
        if decoded is not None:
            if self._partials and not found:
                self._partials.agree(decoded)
            yield self._told(decoded, self._thorough.audio_s, thorough=True)
        elif found:
            yield self._told(found.decoded, found.audio_s)

    def _take(self, partial: Hypothesis | None) -> None:
        """The partial decode that a mark waited for may have ended: it is the answer, or there has to be another."""
        if not self._takes_partial or (partial is None and self._decodes_partially):
            return
        self._takes_partial = False
        if partial is not None and is_certain(partial.decoded):
            self._thorough.know(partial.decoded, self._heard, self._marked_at_s)
        else:
            self._decode_thoroughly()

    def _decode_thoroughly(self) -> None:
        self._before()
        self._thorough.mark(self._heard)

    @property
    def _decodes_partially(self) -> bool:
        return self._partials is not None and self._partials.running is not None

    async def settle(self) -> None:
        """``is_long`` holds: finish the piece up to a pause."""
        asked = self._takes_partial or self._thorough.running is not None
        self._abandon_decodes()
        self._done.append(await self._finished(self._heard.cut()))
        if self._partials:
            self._partials.settle(self._done[-1])
        if asked:
            self.mark()

    async def final(self) -> Transcript:
        """The utterance has ended. What a mark made known is not found out again."""
        self._before()
        decoded = await self._thorough.result() if self._thorough.covers(self._heard) else None
        if decoded is None:
            self._thorough.stop()
            decoded = await self._finished(self._heard.samples())
        pieces = [*self._done, decoded]
        return Transcript(
            text=_text(pieces),
            is_final=True,
            language=_language(pieces),
            logprobs=tuple(entry for piece in pieces for entry in piece.logprobs),
        )

    def stop_partial(self) -> None:
        if self._partials:
            self._partials.stop()

    def abandon(self) -> None:
        self._job.abandoned.set()
        self._abandon_decodes()

    def _abandon_decodes(self) -> None:
        self.stop_partial()
        self._thorough.stop()

    async def _finished(self, samples: Samples) -> Decoded:
        self._before()
        return await self._decode(samples, self._job)

    def _told(self, decoded: Decoded, audio_s: float, *, thorough: bool = False) -> Transcript:
        if self._partials:
            self._settled = self._partials.stable
        pieces = [*self._done, decoded]
        return Transcript(
            self._settled,
            is_final=False,
            language=_language(pieces),
            logprobs=tuple(entry for piece in pieces for entry in piece.logprobs) if thorough else (),
            hypothesis=_text(pieces),
            audio_s=audio_s,
            thorough=thorough,
        )


def _text(pieces: Sequence[Decoded]) -> str:
    return join_texts((piece.text for piece in pieces), _language(pieces))


def _language(pieces: Sequence[Decoded]) -> str | None:
    return next((piece.language for piece in pieces if piece.language), None)
