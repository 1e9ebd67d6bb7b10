"""Settings that cannot work are refused at the start, in words without a key."""

from typing import Any

import pytest

from antiphon.broker import BrokerSettings, BrokerSettingsError, Limit
from tests.support.broker import KEY

UPSTREAM = "https://api.openai.com/v1"


@pytest.mark.parametrize(
    "wrong",
    [
        {"upstream": ""},
        {"upstream": "api.openai.com/v1"},
        {"upstream": "ftp://api.openai.com"},
        {"upstream": "https://"},
        {"upstream": "https://api.openai.com/v1?x=1"},
        {"upstream": "https://api.openai.com/v1#x"},
        {"upstream": f"https://user:{KEY}@api.openai.com/v1"},
        {"upstream": f"https://{KEY}@api.openai.com/v1"},
        {"upstream": f"https://[{KEY}/v1"},
        {"api_key": f"{KEY}\r\nX-A: 1"},
        {"api_key": f"{KEY} "},
        {"api_key": f"{KEY}é"},
        {"api_key": KEY, "api_key_env": "SOME_KEY"},
        {"api_key_env": "ANTIPHON_TEST_ABSENT"},
        {"session": {"type": "realtime", "tools": [object()]}},
        {"allowed_hosts": ("https://app.example.com",)},
        {"allowed_origins": ("app.example.com",)},
        {"allowed_origins": ("https://app.example.com/",)},
        {"allowed_origins": ("*",)},
        {"allowed_origins": ("null",)},
        {"address_limit": Limit(0)},
        {"user_limit": Limit(1, per_s=0.0)},
        {"timeout_s": 0.0},
        {"body_max_bytes": 0},
        {"retries": -1},
        {"secret_lifetime_s": 9},
        {"secret_lifetime_s": 7201},
    ],
)
def test_settings_that_cannot_work_are_refused_without_repeating_the_key(wrong: dict[str, Any]) -> None:
    with pytest.raises(BrokerSettingsError) as refused:
        BrokerSettings(**{"upstream": UPSTREAM, **wrong})
    assert KEY not in str(refused.value)
    assert refused.value.__cause__ is None


def test_the_key_is_read_from_the_variable_that_is_named_and_from_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "other")
    monkeypatch.setenv("VOICE_KEY", KEY)
    assert BrokerSettings(upstream=UPSTREAM).api_key == ""
    assert BrokerSettings(upstream=UPSTREAM, api_key_env="VOICE_KEY").api_key == KEY


def test_the_key_is_not_shown() -> None:
    settings = BrokerSettings(upstream=UPSTREAM + "/", api_key=KEY, safety_salt="pepper")
    assert KEY not in repr(settings)
    assert "pepper" not in repr(settings)
    assert settings.upstream == UPSTREAM
