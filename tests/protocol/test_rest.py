"""Bodies of the HTTP endpoints."""

import json
from typing import Any

import pytest

from antiphon.conform.shapes import api_shapes
from antiphon.protocol.base import UNSET
from antiphon.protocol.beta.session import BetaSessionUpdate, BetaTranscriptionSessionUpdate
from antiphon.protocol.codec import decode_body
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.rest import (
    CallAcceptRequest,
    CallCreateRequest,
    CallReferRequest,
    CallRejectRequest,
    ClientSecret,
    ClientSecretRequest,
    ClientSecretResponse,
    ExpiresAfter,
    HttpError,
    HttpErrorBody,
    Model,
    ModelList,
    encode_body,
)
from antiphon.protocol.session_config import (
    AudioFormat,
    AudioInput,
    RealtimeSessionUpdate,
    TranscriptionSession,
    TranscriptionSessionAudio,
    TranscriptionSessionUpdate,
    TurnDetectionUpdate,
)


def read(body: Any, wire_type: Any) -> Any:
    return decode_body(json.dumps(body), wire_type, strict=True).event


@pytest.mark.parametrize(
    ("body", "request_"),
    [
        ({}, ClientSecretRequest()),
        ({"expires_after": {}}, ClientSecretRequest(expires_after=ExpiresAfter(anchor="created_at", seconds=600))),
        ({"expires_after": {"seconds": 10.0}}, ClientSecretRequest(expires_after=ExpiresAfter(seconds=10))),
        ({"session": {"type": "realtime"}}, ClientSecretRequest(session=RealtimeSessionUpdate())),
        ({"session": {"type": "transcription"}}, ClientSecretRequest(session=TranscriptionSessionUpdate())),
        ({"model": "gpt-realtime", "ttl": 600}, ClientSecretRequest(model="gpt-realtime", ttl=600)),
    ],
)
def test_client_secret_requests(body: dict[str, Any], request_: ClientSecretRequest) -> None:
    assert read(body, ClientSecretRequest) == request_


@pytest.mark.parametrize(
    ("body", "wire_type", "code", "param"),
    [
        ([], ClientSecretRequest, "invalid_body", None),
        ({"expires_after": {"seconds": 9}}, ClientSecretRequest, "invalid_value", "expires_after.seconds"),
        ({"expires_after": {"seconds": 7201}}, ClientSecretRequest, "invalid_value", "expires_after.seconds"),
        ({"expires_after": {"anchor": "now"}}, ClientSecretRequest, "invalid_value", "expires_after.anchor"),
        ({"session": {}}, ClientSecretRequest, "missing_required_parameter", "session.type"),
        ({"session": {"type": "live"}}, ClientSecretRequest, "invalid_value", "session.type"),
        ({"ttl": 9}, ClientSecretRequest, "invalid_value", "ttl"),
        ({"secret": 60}, ClientSecretRequest, "unknown_parameter", "secret"),
        ({"temperature": 2.1}, BetaSessionUpdate, "invalid_value", "temperature"),
        ({}, CallAcceptRequest, "missing_required_parameter", "type"),
        ({}, CallCreateRequest, "missing_required_parameter", "sdp"),
        ({}, CallReferRequest, "missing_required_parameter", "target_uri"),
        ({"target_uri": 1}, CallReferRequest, "invalid_type", "target_uri"),
        ({"status_code": 200}, CallRejectRequest, "invalid_value", "status_code"),
        ({"input_audio_format": "mp3"}, BetaSessionUpdate, "invalid_value", "input_audio_format"),
    ],
)
def test_bad_bodies_are_refused_like_bad_events(body: Any, wire_type: Any, code: str, param: str | None) -> None:
    with pytest.raises(ProtocolError) as caught:
        read(body, wire_type)
    assert (caught.value.code, caught.value.param) == (code, param)
    assert "event" not in caught.value.message


def test_unknown_fields_of_a_body_are_ignored_and_named() -> None:
    result = decode_body('{"y":60,"session":{"type":"realtime","x":1}}', ClientSecretRequest)
    assert result.unknown_fields == ("session.x", "y")


def test_call_bodies() -> None:
    assert read({"type": "realtime", "model": "m"}, CallAcceptRequest) == RealtimeSessionUpdate(model="m")
    assert read({"sdp": "v=0", "session": {"type": "realtime"}}, CallCreateRequest).sdp == "v=0"
    assert read({"target_uri": "tel:+1"}, CallReferRequest).target_uri == "tel:+1"
    assert read({}, CallRejectRequest).status_code is UNSET
    assert read({"status_code": 486}, CallRejectRequest).status_code == 486


def test_legacy_sessions_are_flat() -> None:
    body = {
        "model": "gpt-realtime",
        "modalities": ["audio", "text"],
        "voice": "alloy",
        "input_audio_format": "pcm16",
        "turn_detection": {"type": "server_vad", "threshold": 0.5},
        "temperature": 0.8,
        "max_response_output_tokens": "inf",
    }
    session = read(body, BetaSessionUpdate)
    assert (session.voice, session.input_audio_format, session.max_response_output_tokens) == ("alloy", "pcm16", "inf")
    assert session.turn_detection == TurnDetectionUpdate(type="server_vad", threshold=0.5)
    assert session.speed is UNSET
    assert read({"turn_detection": None}, BetaTranscriptionSessionUpdate).turn_detection is None


def test_a_client_secret_answer_has_the_fields_of_the_api() -> None:
    audio = TranscriptionSessionAudio(input=AudioInput(format=AudioFormat(type="audio/pcm", rate=24000)))
    session = TranscriptionSession(id="sess_1", expires_at=0, include=None, audio=audio)
    secret = ClientSecret(value="ek_1", expires_at=1)
    answer = ClientSecretResponse(value="ek_1", expires_at=1, session=session, client_secret=secret)
    body = json.loads(encode_body(answer))
    # Pages written for the beta find the secret there.
    assert body.pop("client_secret") == {"value": "ek_1", "expires_at": 1}
    shape = api_shapes().rest["POST /realtime/client_secrets 200"]
    # The answer's turn detection is null here, which the official type lacks and recorded answers have.
    assert body["session"]["audio"]["input"].pop("turn_detection") is None
    assert api_shapes().complaints(body, {"shape": shape}) == []


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            HttpErrorBody(error=HttpError(message="m", type="invalid_request_error", code="invalid_api_key")),
            '{"error":{"message":"m","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}',
        ),
        (
            ModelList(data=[Model(id="m", created=1, owned_by="o")]),
            '{"object":"list","data":[{"id":"m","object":"model","created":1,"owned_by":"o"}]}',
        ),
    ],
)
def test_answers_are_complete(body: Any, text: str) -> None:
    assert json.loads(encode_body(body)) == json.loads(text)
