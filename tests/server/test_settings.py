"""Where settings come from, which wins, and what a slip is told."""

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

from antiphon.server.settings import SettingsError, known_names, load_settings
from antiphon.server.settings_show import reference, settings_as_toml


@pytest.fixture(autouse=True)
def clean_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith(("ANTIPHON_", "OPENAI_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_defaults_listen_on_loopback_without_keys() -> None:
    settings = load_settings()
    assert (settings.host, settings.port, settings.api_keys) == ("127.0.0.1", 8000, ())


@pytest.mark.parametrize(
    ("flags", "environment", "file", "port"),
    [
        ({"port": 1}, {"ANTIPHON_PORT": "2"}, "port = 3", 1),
        ({}, {"ANTIPHON_PORT": "2"}, "port = 3", 2),
        ({}, {}, "port = 3", 3),
        ({}, {"ANTIPHON_PORT": ""}, "port = 3", 3),
        ({}, {}, "", 8000),
    ],
)
def test_flags_win_over_environment_over_file_over_defaults(
    flags: dict[str, Any], environment: dict[str, str], file: str, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("antiphon.toml").write_text(file)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert load_settings(flags).port == port


def test_sections_are_merged_key_by_key(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("antiphon.toml").write_text('[llm]\nengine = "openai"\nmodel = "small"\nbase_url = "http://models:9/v1"\n')
    monkeypatch.setenv("ANTIPHON_LLM__MODEL", "large")
    section = load_settings({"llm": {"api_key": "k"}}).llm
    assert section.engine == "openai"
    assert section.options == {"model": "large", "base_url": "http://models:9/v1", "api_key": "k"}


def test_options_of_another_engine_than_the_chosen_one_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("antiphon.toml").write_text('[llm]\nengine = "llamacpp"\nthreads = 2\n')
    monkeypatch.setenv("ANTIPHON_LLM__ENGINE", "openai")
    monkeypatch.setenv("ANTIPHON_LLM__BASE_URL", "http://models:9/v1")
    assert load_settings().llm.options == {"base_url": "http://models:9/v1"}


@pytest.mark.parametrize("source", ["flag", "environment", "config"])
def test_lists_are_comma_separated_or_real(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = {}
    if source == "flag":
        flags = {"api_keys": "one, two"}
    elif source == "environment":
        monkeypatch.setenv("ANTIPHON_API_KEYS", "one,two,")
    else:
        Path("antiphon.toml").write_text('api_keys = ["one", "two"]')
    assert [key.get_secret_value() for key in load_settings(flags).api_keys] == ["one", "two"]


def test_the_file_may_be_named_by_flag_or_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.toml").write_text("port = 1111")
    (tmp_path / "b.toml").write_text("port = 2222")
    monkeypatch.setenv("ANTIPHON_CONFIG", str(tmp_path / "a.toml"))
    assert load_settings().port == 1111
    assert load_settings(config=tmp_path / "b.toml").port == 2222


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ("ANTIPHON_PROT", "ANTIPHON_PROT is not a setting; did you mean ANTIPHON_PORT?"),
        ("ANTIPHON_API_KEY", "did you mean ANTIPHON_API_KEYS?"),
        ("ANTIPHON_LLM_BASE_URL", "did you mean ANTIPHON_LLM__BASE_URL?"),
        ("ANTIPHON_LIMITS__ITMES", "did you mean ANTIPHON_LIMITS__ITEMS?"),
        ("ANTIPHON_ZZZZZZ", "`antiphon config show` lists all settings"),
    ],
)
def test_mistyped_variables_are_refused_and_the_nearest_is_named(
    environment: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(environment, "1")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("prot = 1", "antiphon.toml: prot is not a setting; did you mean port?"),
        ("[limits]\nitmes = 1", "antiphon.toml: limits.itmes is not a setting; did you mean limits.items?"),
        ("llm = 3", "antiphon.toml: llm is a section, not a value"),
        ("port = 'x'", "antiphon.toml: port: Input should be a valid integer"),
        ("port = ", "antiphon.toml: not valid TOML"),
        ("log_format = 'xml'", "antiphon.toml: log_format: Input should be 'text' or 'json' (it is 'xml')"),
    ],
)
def test_slips_in_the_file_are_refused_with_their_place(file: str, message: str) -> None:
    Path("antiphon.toml").write_text(file)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "port"),
    [
        ({}, 8001),
        ({"port": 9000}, 9001),
        ({"port": 0}, 0),
        ({"rtc_port": 5000}, 5000),
        ({"port": 65535, "rtc_port": 0}, 0),
        ({"port": 65535, "rtc": False}, 65536),
    ],
)
def test_calls_have_the_port_after_the_servers_own(flags: dict[str, Any], port: int) -> None:
    assert load_settings(flags).chosen_rtc_port == port


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"host": "0.0.0.0"}, "keys are required"),
        ({"host": "192.168.1.5"}, "keys are required"),
        ({"host": "::"}, "keys are required"),
        ({"host": "voice.example"}, "keys are required"),
        ({"tls_cert": "c.pem"}, "tls_key is missing"),
        ({"tls_cert": "c.pem", "tls_key": "k.pem", "tls_self_signed": True}, "exclude each other"),
        ({"tls_cert": "c.pem", "tls_key": "k.pem"}, "tls_cert: there is no file 'c.pem'"),
        ({"allowed_origins": "null"}, "'null' is not an origin"),
        ({"allowed_origins": "https://a.example/path"}, "is not an origin"),
        ({"allowed_hosts": "*"}, "is not a host name"),
        ({"record_dir": "nowhere"}, "record_dir: there is no folder 'nowhere'"),
        ({"trusted_proxies": "*"}, "neither an address nor a network"),
        ({"api_keys": "caf\u00e9"}, "visible ASCII"),
        ({"port": 65535}, "port + 1 is above 65535: set rtc_port"),
        ({"port": 9000, "rtc_port": 9000}, "rtc_port is port, which HTTP takes"),
        ({"public_addresses": "voice.example.com"}, "'voice.example.com' is not an address"),
        ({"session_audio_bytes": 2**30, "process_audio_bytes": 2**29}, "more than process_audio_bytes"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(flags)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
def test_loopback_needs_no_keys(host: str) -> None:
    assert not load_settings({"host": host}).keys_required


def test_keys_open_every_address() -> None:
    assert load_settings({"host": "0.0.0.0", "api_keys": "k"}).keys_required


@pytest.mark.parametrize(
    ("host", "url", "is_loop"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000/v1", True),
        ("127.0.0.1", "http://localhost:8000/v1", True),
        ("127.0.0.1", "http://0.0.0.0:8000/v1", True),
        ("127.0.0.1", "http://[::1]:8000", True),
        ("0.0.0.0", "http://localhost:8000/v1", True),
        ("voice.example", "https://VOICE.example:8000/v1", True),
        ("127.0.0.1", "http://localhost:8001/v1", False),
        ("127.0.0.1", "http://models.example:8000/v1", False),
        ("127.0.0.1", "http://localhost/v1", False),
    ],
)
def test_an_engine_that_points_at_this_server_is_refused(host: str, url: str, is_loop: bool) -> None:
    flags = {"host": host, "api_keys": "k", "llm": {"engine": "openai", "base_url": url}}
    if not is_loop:
        assert load_settings(flags).llm.options["base_url"] == url
        return
    with pytest.raises(SettingsError, match="points at this very server"):
        load_settings(flags)


def test_openai_variables_that_point_at_this_server_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:8000/v1")
    assert load_settings().llm.engine == "auto"
    with pytest.raises(SettingsError, match="OPENAI_BASE_URL"):
        load_settings({"llm": {"engine": "openai"}})


def test_the_openai_key_goes_only_with_the_openai_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    assert load_settings({"llm": {"engine": "openai"}}).llm.options == {"api_key": "sk-1"}
    named = load_settings({"llm": {"engine": "openai", "base_url": "http://models:9/v1"}})
    assert "api_key" not in named.llm.options


def test_what_is_shown_is_valid_toml_without_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_API_KEYS", "hush-1,hush-2")
    flags = {
        "llm": {"engine": "openai", "base_url": "http://me:hush-3@models:9/v1?api_key=hush-4", "api_key": "hush-5"},
        "stt": {"engine": "other", "headers": {"x-token": "hush-6"}},
    }
    settings = load_settings(flags)
    text = settings_as_toml(settings)
    assert "hush" not in text + repr(settings)
    shown = tomllib.loads(text)
    assert shown["port"] == 8000
    assert shown["llm"]["base_url"] == "http://me:***@models:9/v1?api_key=***"


def test_a_refused_key_is_not_repeated() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({"api_keys": {"hush": 1}})
    assert "hush" not in str(caught.value)


def test_the_reference_page_holds_the_generated_table() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"
    assert reference() in page.read_text(encoding="utf-8"), "regenerate it: antiphon config reference"


def test_every_setting_has_a_description() -> None:
    assert [name for name, field in known_names() if not field.description] == []
    assert "|  |" not in reference()
