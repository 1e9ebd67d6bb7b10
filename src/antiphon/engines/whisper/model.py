"""A Whisper model on CTranslate2: features, prompts and tokens of one call."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from antiphon.audio.logmel import SAMPLE_RATE_HZ, log_mel
from antiphon.engines.whisper.decoding import Attempt, Decoded
from antiphon.vocabulary.speech import WordLogprob

__all__ = ["Abandoned", "WhisperModel"]

_HINT_TOKENS = 200
_NEVER_TWICE_TOKENS = 4


class Abandoned(Exception):  # noqa: N818 - nobody waits for the result any more: no error
    """Raised between two steps of a decode when its caller is gone."""


class WhisperModel:
    """One model, shared by all calls; safe to use from several threads.

    CTranslate2 can stop neither the encoder nor a decode: a call can be abandoned only between the two.
    """

    def __init__(self, directory: Path, *, threads: int, parallel: int) -> None:
        """``threads`` per call, ``parallel`` calls at a time. Raises what the libraries raise for a bad directory."""
        import ctranslate2
        import tokenizers

        self._storage = ctranslate2.StorageView.from_array
        self._model: Any = ctranslate2.models.Whisper(
            str(directory), device="cpu", compute_type="int8", intra_threads=threads, inter_threads=parallel
        )
        self._tokenizer: Any = tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json"))
        self._end_id: int = self._token("<|endoftext|>")

    @property
    def is_multilingual(self) -> bool:
        return bool(self._model.is_multilingual)

    def decode(
        self,
        samples: NDArray[np.float32],
        attempt: Attempt,
        *,
        language: str | None,
        among: tuple[str, ...] = (),
        hints: str,
        abandoned: Callable[[], bool],
    ) -> Decoded:
        """Transcribe ``samples`` (16 kHz, at most the attempt's window); ``language`` None: detect it, ``among`` those.

        Raises ``Abandoned`` if the caller is gone.
        """
        encoded = self._encode(samples, attempt.window_s)
        _go_on(abandoned)
        if not self.is_multilingual:
            language = "en"
        elif language is None:
            language = self._detect(encoded, among)
            _go_on(abandoned)
        prompt = [*(self._hint_ids(hints) if attempt.hinted else []), *self._task_ids(language)]
        return self._generate(encoded, prompt, attempt, language)

    def _encode(self, samples: NDArray[np.float32], window_s: float) -> Any:
        padded = np.zeros(round(window_s * SAMPLE_RATE_HZ), np.float32)
        padded[: len(samples)] = samples
        features = log_mel(padded, n_mels=self._model.n_mels)
        return self._model.encode(self._storage(features[np.newaxis]))

    def _detect(self, encoded: Any, among: tuple[str, ...]) -> str:
        found = [str(token).strip("<|>") for token, _ in self._model.detect_language(encoded)[0]]
        return next((code for code in found if code in among), found[0])

    def _generate(self, encoded: Any, prompt: list[int], attempt: Attempt, language: str) -> Decoded:
        # The library takes half of max_length as the limit, or less where the prompt is longer than that.
        limit = attempt.token_limit
        (result,) = self._model.generate(
            encoded,
            [prompt],
            beam_size=1,
            max_length=limit + max(limit, len(prompt)),
            no_repeat_ngram_size=_NEVER_TWICE_TOKENS if attempt.unrepeated else 0,
            return_scores=True,
            return_logits_vocab=True,
            return_no_speech_prob=True,
        )
        ids: list[int] = result.sequences_ids[0]
        return Decoded(
            text=str(self._tokenizer.decode(ids)).strip(),
            logprob=float(result.scores[0]),
            no_speech=float(result.no_speech_prob),
            capped=len(ids) >= limit,
            language=language,
            logprobs=self._logprobs(ids, result.logits[0]),
        )

    def _logprobs(self, ids: list[int], logits: list[Any]) -> tuple[WordLogprob, ...]:
        """One entry a token; tokens that hold parts of one character are joined."""
        found = []
        group: list[int] = []
        logprob = 0.0
        for token_id, step in zip(ids, logits, strict=False):
            group.append(token_id)
            logprob += _logprob(np.asarray(step), token_id)
            text = str(self._tokenizer.decode(group))
            if not text.endswith("\N{REPLACEMENT CHARACTER}"):
                found.append(WordLogprob(text, logprob))
                group, logprob = [], 0.0
        return tuple(found)

    def _task_ids(self, language: str) -> list[int]:
        task = [f"<|{language}|>", "<|transcribe|>"] if self.is_multilingual else []
        return [self._token(name) for name in ("<|startoftranscript|>", *task, "<|notimestamps|>")]

    def _hint_ids(self, hints: str) -> list[int]:
        # The caller's text may spell control tokens, which the tokenizer would take for such.
        ids = [i for i in self._tokenizer.encode(" " + hints, add_special_tokens=False).ids if i < self._end_id]
        return [self._token("<|startofprev|>"), *ids[-_HINT_TOKENS:]]

    def _token(self, name: str) -> int:
        token_id = self._tokenizer.token_to_id(name)
        if token_id is None:
            raise ValueError(f"the tokenizer has no {name}")
        return int(token_id)


def _go_on(abandoned: Callable[[], bool]) -> None:
    if abandoned():
        raise Abandoned


def _logprob(logits: NDArray[np.float32], token_id: int) -> float:
    peak = logits.max()
    return float(logits[token_id] - peak - np.log(np.exp(logits - peak).sum()))
