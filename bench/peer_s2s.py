"""speech-to-speech for ``python -m bench.peers``: run by the Python of an environment that holds ``speech-to-speech``
1.1.0, ``torch`` 2.13.0 (CPU) and ``silero-vad``, and nothing of ours.

As it comes it fetches three things when it starts. Where nothing can be fetched, Silero is taken from its own package
(the same model), sentences are split by a regular expression, and its Smart-Turn is off. ``PORT BASE_URL PIPELINES``;
further flags are its own.
"""

# mypy: ignore-errors
import re
import sys

import nltk
import nltk.data
import nltk.tokenize
import silero_vad
import torch


def sentences(text, *_, **__):
    return [part for part in re.split(r"(?<=[.!?])\s+", text) if part]


def stand_in():
    nltk.download = lambda *_, **__: True
    nltk.data.find = lambda *_, **__: ""
    nltk.sent_tokenize = nltk.tokenize.sent_tokenize = sentences
    torch.hub.load = lambda *_, **__: (silero_vad.load_silero_vad(), None)


def flags(port, base_url, pipelines):
    chosen = {
        "port": port,
        "num_pipelines": pipelines,
        "stt": "openai",
        "openai_stt_base_url": base_url,
        "openai_stt_model": "instant",
        "llm_backend": "chat-completions",
        "model_name": "instant",
        "responses_api_base_url": base_url,
        "responses_api_api_key": "none",
        "tts": "openai",
        "openai_tts_base_url": base_url,
        "openai_tts_model": "instant",
        "log_level": "error",
    }
    return [part for name, value in chosen.items() for part in (f"--{name}", value)]


if __name__ == "__main__":
    _, port, base_url, pipelines, *own = sys.argv
    stand_in()
    sys.argv = ["speech-to-speech", "serve", *flags(port, base_url, pipelines), "--no_smart_turn", *own]
    from speech_to_speech.cli import main

    sys.exit(main())
