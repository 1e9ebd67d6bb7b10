"""The engines of one process, shared by all its sessions."""

from dataclasses import dataclass, replace

from antiphon.engines.base import (
    ImageReader,
    LanguageModel,
    NoiseReducer,
    SpeechToText,
    TextToSpeech,
    TurnJudge,
    VoiceActivityDetector,
)
from antiphon.engines.resilient import Resilience, ResilientImageReader, ResilientStt, ResilientTts, resilient_llm

__all__ = ["Engines"]


@dataclass(frozen=True, slots=True)
class Engines:
    vad: VoiceActivityDetector
    stt: SpeechToText
    llm: LanguageModel
    tts: TextToSpeech
    noise_reducer: NoiseReducer | None = None
    turn_judge: TurnJudge | None = None
    image_reader: ImageReader | None = None

    def resilient(self, resilience: Resilience) -> "Engines":
        """The same engines, none of which keeps a session waiting for ever."""
        reader = self.image_reader
        return replace(
            self,
            stt=ResilientStt(self.stt, resilience.stt),
            llm=resilient_llm(self.llm, resilience.llm),
            tts=ResilientTts(self.tts, resilience.tts),
            image_reader=None if reader is None else ResilientImageReader(reader, resilience.image),
        )
