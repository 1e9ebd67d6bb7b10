"""The page about settings names every option of the built-in engines, with its default."""

import re
from pathlib import Path

import msgspec
import pytest

from antiphon.engines.image_rapidocr import RapidOcrOptions
from antiphon.engines.llm_llamacpp import LlamaCppOptions
from antiphon.engines.llm_openai import OpenAiLlmOptions
from antiphon.engines.noise_webrtc import WebRtcNoiseOptions
from antiphon.engines.openai_http import EndpointOptions
from antiphon.engines.stt_openai import OpenAiSttOptions
from antiphon.engines.stt_whisper import WhisperOptions
from antiphon.engines.tts_hibari import HibariOptions
from antiphon.engines.tts_openai import OpenAiTtsOptions
from antiphon.engines.turn_smart import SmartTurnOptions
from antiphon.engines.vad_energy import EnergyOptions
from antiphon.engines.vad_silero import SileroOptions

_PAGE = (Path(__file__).parent.parent.parent / "docs" / "reference" / "settings.md").read_text()


def _rows(beginning: str) -> set[tuple[str, str]]:
    """Name and default of each row of the first table after a line."""
    _, found, rest = _PAGE.partition(f"\n{beginning}\n")
    assert found
    table = rest[rest.index("| --- |") :].partition("\n\n")[0]
    return set(re.findall(r"^\| `(\w+)` \| `?([^|`]*?)`? \|", table, re.MULTILINE))


def _options(*schemas: type[msgspec.Struct]) -> set[tuple[str, str]]:
    fields = [field for schema in schemas for field in msgspec.structs.fields(schema)]
    return {(field.name, _shown(field.default)) for field in fields}


def _shown(default: object) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default) or "none"


@pytest.mark.parametrize(
    ("beginning", "schemas"),
    [
        ('### `vad.engine = "silero"`, `vad.engine = "energy"`', (SileroOptions, EnergyOptions)),
        ('### `noise_reducer.engine = "webrtc"`', (WebRtcNoiseOptions,)),
        ('### `turn_judge.engine = "smart_turn"`', (SmartTurnOptions,)),
        ('### `stt.engine = "whisper"`', (WhisperOptions,)),
        ('### `llm.engine = "llamacpp"`', (LlamaCppOptions,)),
        ('### `tts.engine = "hibari"`', (HibariOptions,)),
        ('### `image_reader.engine = "rapidocr"`', (RapidOcrOptions,)),
        ("Of `stt`, `llm` and `tts` alike:", (EndpointOptions,)),
    ],
)
def test_every_option_of_an_engine_is_on_the_page(beginning: str, schemas: tuple[type[msgspec.Struct], ...]) -> None:
    assert _rows(beginning) == _options(*schemas)


@pytest.mark.parametrize(
    ("stage", "schema"), [("stt", OpenAiSttOptions), ("llm", OpenAiLlmOptions), ("tts", OpenAiTtsOptions)]
)
def test_every_option_of_an_http_engine_is_on_the_page(stage: str, schema: type[msgspec.Struct]) -> None:
    assert _rows(f"Of `{stage}`:") == _options(schema) - _options(EndpointOptions)
