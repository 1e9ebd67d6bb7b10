"""What the banner promises must be true of the settings."""

from pathlib import Path
from typing import Any

import pytest

from antiphon.cli.banner import banner
from antiphon.server.settings import load_settings


def _text(flags: dict[str, Any], **options: Any) -> str:
    return "\n".join(banner(load_settings(flags), port=8000, **{"authority": None, "engines": [], **options}))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({}, "WebSocket  ws://127.0.0.1:8000/v1/realtime"),
        ({}, "any key is accepted"),
        ({}, "OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=any python"),
        ({}, "speaks wss only: start with --tls-self-signed"),
        ({"host": "::1"}, "ws://[::1]:8000/v1/realtime"),
        ({"host": "0.0.0.0", "api_keys": "k"}, "ws://localhost:8000/v1/realtime"),
        ({"host": "0.0.0.0", "api_keys": "hush"}, "1 configured; clients must send it"),
        ({"api_keys": "hush,hush2"}, "2 configured; clients must send one of them"),
        ({"api_keys": "hush"}, "OPENAI_API_KEY=<key>"),
        ({"tls_self_signed": True}, "wss://127.0.0.1:8000/v1/realtime"),
        ({"tls_self_signed": True}, "openai, Node          OPENAI_BASE_URL=https://"),
    ],
)
def test_the_lines_follow_the_settings(flags: dict[str, Any], words: str) -> None:
    text = _text(flags)
    assert words in text
    assert "hush" not in text


@pytest.mark.parametrize(
    ("flags", "calls", "words"),
    [
        ({}, "UDP port 8001 on ::1", "WebRTC     http://127.0.0.1:8000/v1/realtime/calls  (UDP port 8001 on ::1)"),
        ({}, "", "WebRTC     not installed: pip install 'antiphon[webrtc]'"),
        ({"rtc": False}, "", "WebRTC     off"),
    ],
)
def test_where_calls_are_taken_is_told(flags: dict[str, Any], calls: str, words: str) -> None:
    assert words in _text(flags, calls=calls)


def test_our_own_authority_is_named_where_clients_need_it() -> None:
    text = _text({"tls_self_signed": True}, authority=Path("/state/ca.pem"))
    assert "NODE_EXTRA_CA_CERTS=/state/ca.pem" in text
    assert "SSL_CERT_FILE=/state/ca.pem" in text


def test_recording_is_never_silent(tmp_path: Path) -> None:
    assert f"RECORDING: everything said in every session is written to {tmp_path}" in _text({"record_dir": tmp_path})


def test_scripted_engines_are_shouted() -> None:
    assert "!! SCRIPTED ENGINES: there is no model behind this server." in _text({}, is_scripted=True)
    assert "SCRIPTED" not in _text({})


def test_engines_and_notes_stand_in_it() -> None:
    text = _text({}, engines=["vad  silero 6", "llm  qwen 2.5"], notes=["vad was passed over"])
    assert "  Engines    vad  silero 6\n             llm  qwen 2.5\n  Note       vad was passed over" in text
