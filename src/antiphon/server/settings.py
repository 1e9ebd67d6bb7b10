"""The one settings object: flags over environment over ``antiphon.toml`` over defaults.

Whatever is unknown or mistyped is an error that names the nearest valid setting, before anything is built or opened.
The options of an engine are free keys of its section; the engine's own schema judges them when it is built.
"""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from antiphon.core.limits import Limits
from antiphon.engines.registry import EngineKind
from antiphon.runtime.settings import RuntimeSettings
from antiphon.server.call_settings import CallsSection
from antiphon.server.masking import mask
from antiphon.server.settings_checks import SettingsError, check_together
from antiphon.server.tracing_settings import OtelSection
from antiphon.server.turn_settings import TurnsSection

__all__ = [
    "EngineSection",
    "LimitsSection",
    "McpSection",
    "PatienceSection",
    "Settings",
    "SettingsError",
    "known_names",
    "load_settings",
]

_PREFIX = "ANTIPHON_"
_CONFIG_VARIABLE = f"{_PREFIX}CONFIG"
_OTHER_VARIABLES = (_CONFIG_VARIABLE, f"{_PREFIX}CACHE_DIR", f"{_PREFIX}PYTHON", f"{_PREFIX}INSTALL_S")
"""Variables that are no settings: where things are, and those of the project's own scripts."""
_DEFAULT_FILE = "antiphon.toml"
_SECTIONS = tuple(EngineKind)
_LIMITS = Limits()
_RUNTIME = RuntimeSettings()
_PATIENCE = _RUNTIME.resilience
_NO_NEAREST = "; `antiphon config show` lists all settings"
_MIB = 1024 * 1024


def _split_commas(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


_Texts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_commas)]
_Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split_commas)]


class EngineSection(BaseModel):
    """Which engine does one stage's work, and its options (all other keys of the section)."""

    model_config = ConfigDict(extra="allow", frozen=True)

    engine: str = Field(
        default="auto", description="Name of an installed engine; `auto` takes the first that can run here."
    )

    @property
    def options(self) -> Mapping[str, Any]:
        return dict(self.model_extra or {})

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:
        yield "engine", self.engine
        yield from ((name, mask(name, value)) for name, value in self.options.items())


class LimitsSection(BaseModel):
    """Bounds of one session. What goes beyond them is refused with an error event; the session goes on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    items: int = Field(default=_LIMITS.items, ge=8, description="Items of a conversation.")
    parts_per_item: int = Field(default=_LIMITS.parts_per_item, ge=1, description="Content parts of an item.")
    text_bytes: int = Field(
        default=_LIMITS.text_bytes,
        ge=1_024,
        description="JSON of all items that the client made, without audio and images.",
    )
    images: int = Field(
        default=_LIMITS.images, ge=0, description="Images of a conversation, and of the own input of its responses."
    )
    image_bytes: int = Field(default=_LIMITS.image_bytes, ge=0, description="Data URLs of all items.")
    image_file_bytes: int = Field(
        default=_LIMITS.image_file_bytes, ge=1_024, description="One image, decoded from base64."
    )
    image_pixels: int = Field(
        default=_LIMITS.image_pixels, ge=1_024, description="Width by height of an image, checked before it is decoded."
    )
    image_deadline_s: float = Field(
        default=_LIMITS.image_deadline_s, gt=0, description="Time until an image is read, the ones before it included."
    )
    tools: int = Field(default=_LIMITS.tools, ge=0, description="Tools of a session or response.")
    tools_bytes: int = Field(default=_LIMITS.tools_bytes, ge=64, description="Tools with their schemas, as JSON.")
    instructions_bytes: int = Field(default=_LIMITS.instructions_bytes, ge=0, description="Instructions, as UTF-8.")
    nesting: int = Field(default=_LIMITS.nesting, ge=8, description="Depth of an event's JSON.")
    out_of_band_responses: int = Field(
        default=_LIMITS.out_of_band_responses, ge=0, description="Responses beside the conversation's own."
    )
    transcription_deadline_s: float = Field(
        default=_LIMITS.transcription_deadline_s, gt=0, description="Time for the transcript of a turn."
    )


class McpSection(BaseModel):
    """MCP servers that clients may give to their sessions; off until hosts are named."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    allowed_hosts: _Texts = Field(
        default=(),
        description="Hosts that clients may name, such as `tools.example.com:443` or `127.0.0.1:9000` "
        "(comma-separated); in plain HTTP only where the address is not public or written with `http://`.",
    )
    allowed_networks: _Texts = Field(
        default=(), description="Networks that are not public and that allowed names may lead to, such as `10.0.0.0/8`."
    )
    servers: int = Field(default=_LIMITS.mcp_servers, ge=1, description="Servers of a session, by label.")
    tools: int = Field(default=_LIMITS.mcp_tools, ge=1, description="Tools of a server.")
    calls: int = Field(default=_LIMITS.mcp_calls, ge=1, description="Calls of a session at a time.")
    output_bytes: int = Field(
        default=_LIMITS.mcp_output_bytes, ge=256, description="Kept of a call's output; the rest is cut."
    )
    reply_bytes: int = Field(default=4 * _MIB, ge=16 * 1024, description="A reply of a server; a longer one fails.")
    list_s: float = Field(default=_LIMITS.mcp_list_s, gt=0, description="Time to connect and list tools.")
    call_s: float = Field(default=_LIMITS.mcp_call_s, gt=0, description="Time for a call.")


class PatienceSection(BaseModel):
    """How long an engine may be silent before a call of it fails, and how often what may succeed is tried again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stt_first_s: float = Field(
        default=_PATIENCE.stt.first_timeout_s,
        gt=0,
        description="Until a transcript, counted from the end of the audio.",
    )
    stt_gap_s: float = Field(default=_PATIENCE.stt.gap_timeout_s, gt=0, description="Between two partial transcripts.")
    llm_first_s: float = Field(default=_PATIENCE.llm.first_timeout_s, gt=0, description="Until the first word.")
    llm_gap_s: float = Field(default=_PATIENCE.llm.gap_timeout_s, gt=0, description="Between two words.")
    tts_first_s: float = Field(default=_PATIENCE.tts.first_timeout_s, gt=0, description="Until the first sound.")
    tts_gap_s: float = Field(default=_PATIENCE.tts.gap_timeout_s, gt=0, description="Between two pieces of speech.")
    image_s: float = Field(
        default=_PATIENCE.image.first_timeout_s,
        gt=0,
        description="Until an image is read for a model that does not see.",
    )
    retries: int = Field(default=_PATIENCE.llm.retries, ge=0, le=5, description="Further attempts.")


class Settings(BaseSettings):
    """All settings of a server process. Build it with ``load_settings``."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_nested_delimiter="__", env_ignore_empty=True, extra="forbid", frozen=True
    )

    host: str = Field(
        default="127.0.0.1", min_length=1, description="Address to listen on. Off loopback it takes `api_keys`."
    )
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    tls_cert: Path | None = Field(
        default=None, description="Certificate chain (PEM); with it the server speaks `https`/`wss`."
    )
    tls_key: Path | None = Field(default=None, description="Private key (PEM) of `tls_cert`.")
    tls_self_signed: bool = Field(default=False, description="Make and keep a certificate of our own.")
    api_keys: _Secrets = Field(
        default=(), description="Accepted keys (comma-separated). None: any key, on loopback only."
    )
    client_secret_keys: _Secrets = Field(
        default=(),
        description="Keys that sign client secrets (comma-separated): the first signs, all are accepted. "
        "None: a random one until the server ends.",
    )
    allowed_hosts: _Texts = Field(default=(), description="Names in `Host` that are ours, beside loopback.")
    allowed_origins: _Texts = Field(
        default=(),
        description="Web origins that may call. Without keys: beside loopback ones. With keys: empty means all.",
    )
    trusted_proxies: _Texts = Field(
        default=(), description="Addresses or networks whose `X-Forwarded-*` headers are believed."
    )
    rtc: bool = Field(
        default=True, description="Take calls over WebRTC, which needs the extra `webrtc`; without it they are refused."
    )
    rtc_port: int | None = Field(
        default=None, ge=0, le=65535, description="UDP port of all calls; else `port` + 1. 0 takes a free one."
    )
    rtc_tcp: bool = Field(default=True, description="Take calls over TCP too, on the same port number.")
    public_addresses: _Texts = Field(
        default=(),
        description="Addresses of this machine outside NAT, for callers over WebRTC (comma-separated).",
    )
    max_sessions: int = Field(
        default=_RUNTIME.max_sessions, ge=1, description="Sessions at a time; one more is refused with HTTP 429."
    )
    session_max_s: float = Field(
        default=_LIMITS.session_max_s, gt=0, description="Longest session; then `session_expired` and close 1001."
    )
    drain_s: float = Field(default=10.0, ge=0, description="How long a shutdown waits for responses to finish.")
    instructions: str = Field(
        default="", description="Instructions of a session until its client sets others; empty: our own."
    )
    prompts_file: Path | None = Field(
        default=None,
        description="Prompts (TOML) that clients may refer to by id; without it such references have no effect.",
    )
    partials: bool = Field(
        default=_RUNTIME.partials, description="Make partial transcripts while somebody speaks (costs computation)."
    )
    session_audio_bytes: int = Field(
        default=_LIMITS.audio_bytes, ge=_MIB, description="Audio kept in memory by one session."
    )
    process_audio_bytes: int = Field(
        default=_RUNTIME.process_audio_bytes, ge=_MIB, description="Audio kept in memory by all sessions."
    )
    decode_bytes: int = Field(
        default=_RUNTIME.decode_budget_bytes,
        ge=16 * _MIB,
        description="Large events being decoded at a time, all sessions.",
    )
    outbox_bytes: int = Field(
        default=_RUNTIME.outbox_bytes,
        ge=_MIB,
        description="Events waiting for a client that reads too slowly; then it is closed.",
    )
    events_per_s: float = Field(
        default=_RUNTIME.events_per_s, ge=10, description="Client events a second; more are read later, never lost."
    )
    record_dir: Path | None = Field(
        default=None,
        description="Existing folder for logs from which sessions can be replayed, everything said included.",
    )
    record_audio: bool = Field(default=False, description="Whether these logs hold the audio too.")
    strict: bool = Field(
        default=False, description="Answer unknown fields with `unknown_parameter` instead of ignoring them."
    )
    log_format: Literal["text", "json"] = Field(default="text", description="Form of the log lines on standard error.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe level logged."
    )

    calls: CallsSection = CallsSection()
    limits: LimitsSection = LimitsSection()
    mcp: McpSection = McpSection()
    otel: OtelSection = OtelSection()
    patience: PatienceSection = PatienceSection()
    turns: TurnsSection = TurnsSection()
    vad: EngineSection = EngineSection()
    noise_reducer: EngineSection = EngineSection()
    turn_judge: EngineSection = EngineSection()
    stt: EngineSection = EngineSection()
    llm: EngineSection = EngineSection()
    tts: EngineSection = EngineSection()
    image_reader: EngineSection = EngineSection()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # load_settings merges the sources itself: a section's options belong to the engine they were written for.
        return (init_settings,)

    @property
    def keys_required(self) -> bool:
        return bool(self.api_keys)

    @property
    def chosen_rtc_port(self) -> int:
        """0: whichever is free."""
        if self.rtc_port is not None:
            return self.rtc_port
        return self.port + 1 if self.port else 0

    @property
    def has_tls(self) -> bool:
        return self.tls_self_signed or self.tls_cert is not None

    def section(self, kind: EngineKind) -> EngineSection:
        section: EngineSection = getattr(self, kind.value)
        return section


def load_settings(flags: Mapping[str, Any] | None = None, *, config: Path | None = None) -> Settings:
    """Read all sources. ``flags`` is nested like the file; ``config`` must exist, ``./antiphon.toml`` may.

    Raises ``SettingsError`` with one line.
    """
    flags = flags or {}
    _check_environment(os.environ)
    path = config or _named_file()
    sources = {
        "flags": flags,
        "environment": EnvSettingsSource(Settings)(),
        path.name if path else _DEFAULT_FILE: _read_file(path),
    }
    merged: dict[str, Any] = {}
    for name, values in reversed(sources.items()):
        _check_keys(name, values, Settings)
        merged = _merge(merged, values)
    _use_openai_variables(merged)
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        raise SettingsError(_explain(error, sources)) from None
    check_together(settings)
    return settings


def known_names() -> Iterator[tuple[str, FieldInfo]]:
    """Every setting by its dotted name, engine options excepted."""
    for name, field in Settings.model_fields.items():
        nested = _nested(field)
        if nested is None:
            yield name, field
        else:
            yield from ((f"{name}.{inner}", inner_field) for inner, inner_field in nested.model_fields.items())


def _nested(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _named_file() -> Path | None:
    if named := os.environ.get(_CONFIG_VARIABLE):
        return Path(named)
    return Path(_DEFAULT_FILE) if Path(_DEFAULT_FILE).is_file() else None


def _read_file(path: Path | None) -> Mapping[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(f"{path}: cannot be read ({reason})") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from error


def _merge(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """``upper`` over ``lower``, key by key; options written for another engine than the one chosen are left out."""
    merged = dict(lower)
    for key, value in upper.items():
        below = merged.get(key)
        if not isinstance(value, Mapping) or not isinstance(below, Mapping):
            merged[key] = value
        elif key in _SECTIONS and "engine" in below and value.get("engine", below["engine"]) != below["engine"]:
            merged[key] = dict(value)
        else:
            merged[key] = {**below, **value}
    return merged


def _use_openai_variables(merged: dict[str, Any]) -> None:
    """An ``openai`` engine without an address of its own takes the one that OpenAI's own clients would take.

    The key goes with that address only: it is never sent to a server that the settings name.
    """
    for name in _SECTIONS:
        section = merged.get(name, {})
        if section.get("engine") != "openai" or "base_url" in section:
            continue
        found = {"base_url": os.environ.get("OPENAI_BASE_URL"), "api_key": os.environ.get("OPENAI_API_KEY")}
        merged[name] = {option: value for option, value in found.items() if value} | dict(section)


def _check_environment(environ: Mapping[str, str]) -> None:
    known = {f"{_PREFIX}{name.upper().replace('.', '__')}" for name, _ in known_names()}.union(_OTHER_VARIABLES)
    for variable in environ:
        if not variable.upper().startswith(_PREFIX) or variable.upper() in known:
            continue
        section, separator, option = variable.upper().removeprefix(_PREFIX).partition("__")
        if section.lower() in _SECTIONS and separator and option:
            continue
        raise SettingsError(f"environment: {variable} is not a setting{_nearest_variable(variable.upper(), known)}")


def _nearest_variable(variable: str, known: set[str]) -> str:
    for section in _SECTIONS:
        # A single underscore after the section is the commonest slip, and its mending is certain.
        start = f"{_PREFIX}{section.upper()}_"
        if variable.startswith(start):
            return f"; did you mean {start}_{variable.removeprefix(start)}?"
    nearest = difflib.get_close_matches(
        variable.removeprefix(_PREFIX), [name.removeprefix(_PREFIX) for name in known], n=1
    )
    return f"; did you mean {_PREFIX}{nearest[0]}?" if nearest else _NO_NEAREST


def _check_keys(source: str, values: Mapping[str, Any], model: type[BaseModel], above: str = "") -> None:
    for key, value in values.items():
        field = model.model_fields.get(key)
        if field is None:
            if model.model_config.get("extra") == "allow":
                continue
            known = list(model.model_fields) if above else [name for name, _ in known_names()] + list(_SECTIONS)
            raise SettingsError(f"{source}: {above}{key} is not a setting{_did_you_mean(key, known, above)}")
        nested = _nested(field)
        if nested is not None:
            if not isinstance(value, Mapping):
                raise SettingsError(f"{source}: {above}{key} is a section, not a value")
            _check_keys(source, value, nested, f"{key}.")


def _did_you_mean(name: str, known: Sequence[str], above: str = "") -> str:
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {above}{nearest[0]}?" if nearest else _NO_NEAREST


def _explain(error: ValidationError, sources: Mapping[str, Mapping[str, Any]]) -> str:
    """The first failure as one line, with its source; never the value of a secret."""
    first = error.errors(include_url=False, include_context=False)[0]
    path = [str(part) for part in first["loc"]]
    source = next((name for name, values in sources.items() if _holds(values, path)), "settings")
    message = first["msg"].removeprefix("Value error, ")
    secret = Settings.model_fields.get(path[0])
    shown = "" if secret is None or _is_secret(secret) else f" (it is {first['input']!r})"
    return f"{source}: {'.'.join(path)}: {message}{shown}"


def _holds(values: Any, path: Sequence[str]) -> bool:
    for part in path:
        if not isinstance(values, Mapping):
            return True
        if part not in values:
            return False
        values = values[part]
    return True


def _is_secret(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is tuple and SecretStr in get_args(field.annotation)
