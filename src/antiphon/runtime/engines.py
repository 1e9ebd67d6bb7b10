"""The engines of one process, shared by all its sessions."""

from dataclasses import dataclass

from antiphon.engines.base import LanguageModel, SpeechToText, TextToSpeech, TurnJudge, VoiceActivityDetector

__all__ = ["Engines"]


@dataclass(frozen=True, slots=True)
class Engines:
    vad: VoiceActivityDetector
    stt: SpeechToText
    llm: LanguageModel
    tts: TextToSpeech
    turn_judge: TurnJudge | None = None
