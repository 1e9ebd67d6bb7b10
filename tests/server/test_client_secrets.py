"""Client secrets: what is in them, who accepts them, and when they end."""

import base64
import builtins
from typing import Any

import msgspec
import pytest

from antiphon.protocol.session_config import (
    AudioInputUpdate,
    FunctionTool,
    InputTranscriptionUpdate,
    RealtimeSessionUpdate,
    SessionUpdateBody,
    TranscriptionAudioUpdate,
    TranscriptionSessionUpdate,
)
from antiphon.server import client_secrets
from antiphon.server.client_secrets import ClientSecrets, OpenedSecret, is_client_secret
from antiphon.server.errors import ApiError

OLD = "an-old-signing-key-of-32-characters"
NEW = "a-new-signing-key-of-32-characters!"
SMALL = RealtimeSessionUpdate(instructions="Be kind.", tools=[FunctionTool(name="f", parameters={"type": "object"})])
LARGE = RealtimeSessionUpdate(instructions="x" * 10_000)
TRANSCRIBING = TranscriptionSessionUpdate(
    audio=TranscriptionAudioUpdate(input=AudioInputUpdate(transcription=InputTranscriptionUpdate(language="de")))
)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.5

    def __call__(self) -> float:
        return self.now


def _refusal(secrets: ClientSecrets, value: str) -> ApiError:
    with pytest.raises(ApiError) as caught:
        secrets.read(value)
    assert (caught.value.status, caught.value.code) == (401, "invalid_api_key")
    assert value not in caught.value.message
    return caught.value


def _session(secrets: ClientSecrets, value: str) -> SessionUpdateBody:
    opened = secrets.read(value)
    assert opened is not None
    return opened.session


def _opens(secrets: ClientSecrets, value: str) -> bool:
    try:
        return secrets.read(value) is not None
    except ApiError:
        return False


@pytest.mark.parametrize("session", [RealtimeSessionUpdate(), SMALL, LARGE, TRANSCRIBING])
def test_a_secret_gives_back_what_it_binds(session: SessionUpdateBody) -> None:
    secrets = ClientSecrets(now=Clock())
    secret = secrets.make(session, 60)
    assert _session(secrets, secret.value) == session
    assert _session(secrets, secret.value) == session  # as often as wanted
    assert secret.expires_at == 1_060


@pytest.mark.parametrize("chars", [0, 1_300, 1_400, 1_450, 1_500, 2_000, 100_000])
def test_a_secret_is_plain_text_that_fits_into_a_header(chars: int) -> None:
    value = ClientSecrets().make(RealtimeSessionUpdate(instructions="x" * chars), 60).value
    assert value.startswith("ek_")
    assert len(value) <= 2_048
    assert set(value) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def test_what_a_secret_binds_cannot_be_read_from_it() -> None:
    value = ClientSecrets().make(SMALL, 60).value
    assert b"kind" not in base64.urlsafe_b64decode(value.removeprefix("ek_") + "==")


def test_two_secrets_of_the_same_session_differ() -> None:
    secrets = ClientSecrets()
    assert secrets.make(SMALL, 60).value != secrets.make(SMALL, 60).value


def test_a_secret_ends_when_it_says() -> None:
    clock = Clock()
    secrets = ClientSecrets(now=clock)
    secret = secrets.make(SMALL, 60)
    clock.now = secret.expires_at - 0.01
    assert _session(secrets, secret.value) == SMALL
    clock.now = float(secret.expires_at)
    assert "expired" in _refusal(secrets, secret.value).message


def test_every_changed_character_is_noticed() -> None:
    secrets = ClientSecrets()
    value = secrets.make(SMALL, 60).value
    for index in range(len("ek_"), len(value)):
        changed = value[:index] + ("A" if value[index] != "A" else "B") + value[index + 1 :]
        assert not _opens(secrets, changed), index


@pytest.mark.parametrize(
    "key",
    [None, "", "sk-key", "ek_", "ek_local", "ek_" + "A" * 44, "ek_" + "A" * 2_046, "ek_" + "é" * 60, "ek_AZ=="],
)
def test_other_keys_are_no_client_secrets(key: str | None) -> None:
    assert ClientSecrets().read(key) is None
    assert not is_client_secret(key)


def test_a_secret_with_something_added_or_cut_off_opens_nothing() -> None:
    secrets = ClientSecrets()
    value = secrets.make(SMALL, 60).value
    for changed in (value + "=", value + " ", value + "A", value + "A" * 2_048, value[:-1]):
        assert not _opens(secrets, changed)


def test_any_process_with_the_key_accepts_a_secret_and_no_other_does() -> None:
    secret = ClientSecrets([OLD]).make(SMALL, 60)
    assert _session(ClientSecrets([OLD]), secret.value) == SMALL
    _refusal(ClientSecrets([NEW]), secret.value)
    _refusal(ClientSecrets(), secret.value)


def test_keys_rotate() -> None:
    old = ClientSecrets([OLD]).make(SMALL, 60)
    both = ClientSecrets([NEW, OLD])
    assert _session(both, old.value) == SMALL
    new = both.make(SMALL, 60)
    assert _session(ClientSecrets([NEW]), new.value) == SMALL
    _refusal(ClientSecrets([OLD]), new.value)


def test_a_large_session_is_kept_by_the_process_that_made_its_secret() -> None:
    secret = ClientSecrets([OLD]).make(LARGE, 60)
    assert "not known" in _refusal(ClientSecrets([OLD]), secret.value).message


def test_kept_sessions_are_bounded_in_bytes_and_give_way_when_they_expire() -> None:
    clock = Clock()
    secrets = ClientSecrets(now=clock)
    session = RealtimeSessionUpdate(instructions="x" * 1_000_000)
    made = [secrets.make(session, 60) for _ in range(33)]
    with pytest.raises(ApiError) as caught:
        secrets.make(session, 60)
    assert (caught.value.status, caught.value.code) == (429, "rate_limit_exceeded")
    assert _session(secrets, made[0].value) == session  # nothing was forgotten for it
    assert _session(secrets, secrets.make(SMALL, 60).value) == SMALL
    clock.now += 61
    assert _session(secrets, secrets.make(session, 60).value) == session


def test_kept_sessions_are_bounded_in_number() -> None:
    secrets = ClientSecrets(now=Clock())
    session = RealtimeSessionUpdate(instructions="x" * 1_600)
    for _ in range(10_000):
        secrets.make(session, 60)
    with pytest.raises(ApiError) as caught:
        secrets.make(session, 60)
    assert caught.value.status == 429


@pytest.mark.parametrize("session", [SMALL, LARGE])
def test_a_secret_tells_who_made_it_where_and_for_whom(session: SessionUpdateBody) -> None:
    secrets = ClientSecrets()
    opened = secrets.read(secrets.make(session, 60, owner="an-id", beta=True, safety_hash="a-hash").value)
    assert opened == OpenedSecret(session, "an-id", True, "a-hash")


def test_a_secret_without_an_owner_in_it_is_nobodys_in_particular(monkeypatch: pytest.MonkeyPatch) -> None:
    class OlderClaims(msgspec.Struct, frozen=True, array_like=True):
        expires_at: int
        session: SessionUpdateBody | None = None
        reference: bytes | None = None

    def older_claims(expires_at: int, session: SessionUpdateBody | None = None, **newer: Any) -> OlderClaims:
        return OlderClaims(expires_at, session)

    with monkeypatch.context() as older:
        older.setattr(client_secrets, "_Claims", older_claims)
        value = ClientSecrets([OLD]).make(SMALL, 60).value
    opened = ClientSecrets([OLD]).read(value)
    assert opened == OpenedSecret(SMALL)


def test_without_its_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name.startswith("cryptography"):
            raise ImportError(name)
        return found(name, *rest)

    secrets = ClientSecrets()
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ApiError) as caught:
        secrets.make(SMALL, 60)
    assert (caught.value.status, caught.value.code) == (501, "not_available")
    assert "antiphon[local]" in caught.value.message
    assert secrets.read("sk-key") is None


def test_keys_are_not_shown() -> None:
    secrets = ClientSecrets([OLD])
    assert OLD not in repr(vars(secrets))
    assert "key=" not in repr(vars(secrets))
