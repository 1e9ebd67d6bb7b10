"""Settings of calls over WebRTC."""

from pydantic import BaseModel, ConfigDict, Field

from antiphon.transports.playout_budget import DEFAULT_PLAYOUT_BYTES

__all__ = ["CallsSection"]


class CallsSection(BaseModel):
    """Bounds of calls over WebRTC, and how their speech is coded."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    own_addresses: bool = Field(
        default=True,
        description="Where `host` is loopback, take calls from this machine at its other addresses too: "
        "Firefox calls no other.",
    )
    half_open: int = Field(
        default=64,
        ge=1,
        description="Calls answered and not connected yet, three quarters of all sessions at most; "
        "one more is refused with HTTP 429.",
    )
    half_open_s: float = Field(default=10.0, gt=0, description="Time for a caller to connect.")
    silent_s: float = Field(default=20.0, gt=0, description="A call is over after so long without a valid packet.")
    complexity: int = Field(
        default=5, ge=0, le=10, description="Of the Opus encoder; 1 takes half the computation of 5."
    )
    bitrate_bps: int = Field(default=32_000, ge=6_000, le=128_000, description="Of the Opus encoder.")
    output_latency_ms: int = Field(
        default=30,
        ge=0,
        le=2_000,
        description="How late loudspeakers play: an interrupted answer is cut at what was heard.",
    )
    playout_bytes: int = Field(
        default=DEFAULT_PLAYOUT_BYTES,
        ge=1024 * 1024,
        description="Speech that waits to be played in all calls; beyond it those with the most get no more.",
    )
