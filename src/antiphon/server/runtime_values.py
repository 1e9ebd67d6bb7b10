"""The server's settings in the words of the runtime."""

from collections.abc import Mapping
from typing import cast

from antiphon.core.config import DEFAULT_INSTRUCTIONS
from antiphon.core.limits import Limits
from antiphon.engines.base import (
    Engine,
    ImageReader,
    LanguageModel,
    NoiseReducer,
    SpeechToText,
    TextToSpeech,
    TurnJudge,
    VoiceActivityDetector,
)
from antiphon.engines.registry import EngineKind
from antiphon.engines.resilient import Patience, Resilience
from antiphon.runtime.engines import Engines
from antiphon.runtime.settings import RuntimeSettings
from antiphon.server.prompts import read_prompts
from antiphon.server.settings import PatienceSection, Settings

__all__ = ["runtime_engines", "runtime_settings"]


def runtime_engines(engines: Mapping[EngineKind, Engine]) -> Engines:
    """The engines by their place. That each is of its kind is what its entry point promises."""
    return Engines(
        vad=cast(VoiceActivityDetector, engines[EngineKind.VAD]),
        stt=cast(SpeechToText, engines[EngineKind.STT]),
        llm=cast(LanguageModel, engines[EngineKind.LLM]),
        tts=cast(TextToSpeech, engines[EngineKind.TTS]),
        noise_reducer=cast(NoiseReducer | None, engines.get(EngineKind.NOISE_REDUCER)),
        turn_judge=cast(TurnJudge | None, engines.get(EngineKind.TURN_JUDGE)),
        image_reader=cast(ImageReader | None, engines.get(EngineKind.IMAGE_READER)),
    )


def runtime_settings(settings: Settings) -> RuntimeSettings:
    limits = Limits(
        session_max_s=settings.session_max_s,
        audio_bytes=settings.session_audio_bytes,
        **settings.limits.model_dump(),
    )
    return RuntimeSettings(
        limits=limits,
        max_sessions=settings.max_sessions,
        process_audio_bytes=settings.process_audio_bytes,
        decode_budget_bytes=settings.decode_bytes,
        outbox_bytes=settings.outbox_bytes,
        events_per_s=settings.events_per_s,
        strict=settings.strict,
        partials=settings.partials,
        prompts=read_prompts(settings.prompts_file, limits) if settings.prompts_file is not None else None,
        instructions=settings.instructions or DEFAULT_INSTRUCTIONS,
        resilience=_resilience(settings.patience),
        record_dir=str(settings.record_dir) if settings.record_dir is not None else None,
        record_audio=settings.record_audio,
    )


def _resilience(patience: PatienceSection) -> Resilience:
    retries = patience.retries
    return Resilience(
        stt=Patience(patience.stt_first_s, patience.stt_gap_s, retries),
        llm=Patience(patience.llm_first_s, patience.llm_gap_s, retries),
        tts=Patience(patience.tts_first_s, patience.tts_gap_s, retries),
        image=Patience(patience.image_s, patience.image_s, retries),
    )
