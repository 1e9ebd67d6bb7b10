"""Settings of traces, and whether there is to be any."""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["EXTRA", "OtelSection", "extra_is_installed", "is_asked_for"]

EXTRA: Final = "pip install 'antiphon[otel]'"
_PACKAGES: Final = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


class OtelSection(BaseModel):
    """Spans of turns for OpenTelemetry."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: str = Field(
        default="",
        description="Where spans go by OTLP over HTTP, such as `http://127.0.0.1:4318`; empty: where "
        "`OTEL_EXPORTER_OTLP_ENDPOINT` says, or nowhere.",
    )
    content: bool = Field(default=False, description="Whether spans hold what was said, and what tools were told.")


def is_asked_for(section: OtelSection, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether traces are to be sent: by the settings, or by the variables that all programs share."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if environment.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none":
        return False
    return bool(section.endpoint) or any(environment.get(name, "").strip() for name in _ENDPOINTS)


def extra_is_installed() -> bool:
    try:
        return all(find_spec(name) is not None for name in _PACKAGES)
    except ModuleNotFoundError:
        return False  # the package above them
