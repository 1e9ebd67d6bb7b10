"""The server's settings in the words of the runtime."""

from collections.abc import Mapping
from typing import cast

from antiphon.core.config import DEFAULT_INSTRUCTIONS
from antiphon.core.limits import Limits
from antiphon.core.mcp_urls import allowed_host
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
from antiphon.runtime.mcp_work import McpClient
from antiphon.runtime.settings import RuntimeSettings
from antiphon.server.prompts import read_prompts
from antiphon.server.settings import PatienceSection, Settings

__all__ = ["mcp_client", "runtime_engines", "runtime_settings"]


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
        mcp_hosts=settings.mcp.allowed_hosts,
        mcp_servers=settings.mcp.servers,
        mcp_tools=settings.mcp.tools,
        mcp_calls=settings.mcp.calls,
        mcp_output_bytes=settings.mcp.output_bytes,
        mcp_list_s=settings.mcp.list_s,
        mcp_call_s=settings.mcp.call_s,
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
        **settings.turns.model_dump(),
        record_dir=str(settings.record_dir) if settings.record_dir is not None else None,
        record_audio=settings.record_audio,
    )


def mcp_client(settings: Settings) -> McpClient | None:
    """The client of MCP servers, where the operator allows any."""
    mcp = settings.mcp
    if not mcp.allowed_hosts:
        return None
    from antiphon.mcp_client.addresses import named_networks
    from antiphon.mcp_client.client import HttpMcpClient
    from antiphon.mcp_client.http import HttpBounds

    hosts = [host for entry in mcp.allowed_hosts for _, host, _ in allowed_host(entry)]
    bounds = HttpBounds(read_s=max(mcp.call_s, mcp.list_s), reply_bytes=mcp.reply_bytes, tools=mcp.tools)
    return HttpMcpClient(named_networks(hosts, mcp.allowed_networks), bounds=bounds)


def _resilience(patience: PatienceSection) -> Resilience:
    retries = patience.retries
    return Resilience(
        stt=Patience(patience.stt_first_s, patience.stt_gap_s, retries),
        llm=Patience(patience.llm_first_s, patience.llm_gap_s, retries),
        tts=Patience(patience.tts_first_s, patience.tts_gap_s, retries),
        image=Patience(patience.image_s, patience.image_s, retries),
    )
