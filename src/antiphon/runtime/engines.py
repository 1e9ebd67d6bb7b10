"""The engines of one process, shared by all its sessions."""

from dataclasses import dataclass, replace

from antiphon.engines.base import (
    LanguageModel,
    NoiseReducer,
    SpeechToText,
    TextToSpeech,
    TurnJudge,
    VoiceActivityDetector,
)
from antiphon.engines.resilient import Resilience, ResilientStt, ResilientTts, resilient_llm

__all__ = ["Engines"]


@dataclass(frozen=True, slots=True)
class Engines:
    vad: VoiceActivityDetector
    stt: SpeechToText
    llm: LanguageModel
    tts: TextToSpeech
    noise_reducer: NoiseReducer | None = None
    turn_judge: TurnJudge | None = None

    def resilient(self, resilience: Resilience) -> "Engines":
        """The same engines, none of which keeps a session waiting for ever."""
        return replace(
            self,
            stt=ResilientStt(self.stt, resilience.stt),
            llm=resilient_llm(self.llm, resilience.llm),
            tts=ResilientTts(self.tts, resilience.tts),
        )
