"""The file of stored prompts: what it may hold, and what a slip is told."""

from pathlib import Path

import pytest

from antiphon.core.limits import Limits
from antiphon.server.prompts import PromptsError, read_prompts
from antiphon.server.runtime_values import runtime_settings
from antiphon.server.settings import SettingsError, load_settings

GREETER = """
[pmpt_greeter]
current = "1"
[pmpt_greeter.versions.1]
instructions = "Greet {{name}}."
[pmpt_greeter.versions.2]
instructions = "Sing."
audio.output.voice = "cedar"
[[pmpt_greeter.versions.2.tools]]
type = "function"
name = "look"
[pmpt_other.versions.first]
max_output_tokens = 7
[pmpt_other.versions.last]
"""


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "prompts.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_prompts_have_versions_that_are_partial_sessions(tmp_path: Path) -> None:
    prompts = read_prompts(file(tmp_path, GREETER), Limits())
    assert {name: (prompt.current, list(prompt.versions)) for name, prompt in prompts.items()} == {
        "pmpt_greeter": ("1", ["1", "2"]),
        "pmpt_other": ("last", ["first", "last"]),
    }
    assert prompts["pmpt_greeter"].versions["1"].instructions == "Greet {{name}}."
    assert prompts["pmpt_other"].versions["first"].max_output_tokens == 7


def test_the_runtime_gets_them_and_none_without_a_file(tmp_path: Path) -> None:
    assert runtime_settings(load_settings()).prompts is None
    assert runtime_settings(load_settings({"prompts_file": str(file(tmp_path, ""))})).prompts == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a", "is not valid TOML"),
        ("a = 1", "a: expected a table with 'versions'"),
        ("[a]\nversion = 1", "a: expected a table with 'versions'"),
        ("[a]\ncurrent = '1'", "a: it has no versions"),
        ("[a]\ncurrent = '2'\n[a.versions.1]", "a.current: there is no version '2'"),
        ("[a]\nversions.1 = 'Sing.'", "a.versions.1: expected a table of session fields"),
        ("[a.versions.1]\nmodel = 'm'", "a.versions.1: a stored prompt cannot set 'model'"),
        ("[a.versions.1]\nprompt.id = 'b'", "a.versions.1: a stored prompt cannot set 'prompt'"),
        ("[a.versions.1]\ninstruction = 'Sing.'", "a.versions.1: Unknown parameter: 'instruction'."),
        ("[a.versions.1]\ninstructions = 7", "a.versions.1: Invalid type for 'instructions'"),
        ("[a.versions.1]\ninstructions = 'More than twenty bytes.'", "a.versions.1: Invalid 'instructions'"),
        ("[[a.versions.1.tools]]\ntype = 'function'\nname = 'a b'", "a.versions.1: Invalid 'tools[0].name'"),
    ],
)
def test_a_slip_is_told_in_one_line_before_anything_starts(tmp_path: Path, text: str, message: str) -> None:
    path = file(tmp_path, text)
    with pytest.raises(PromptsError) as refused:
        read_prompts(path, Limits(instructions_bytes=20))
    assert message in str(refused.value)
    flags = {"prompts_file": str(path), "limits": {"instructions_bytes": 20}}
    with pytest.raises(SettingsError) as told:
        load_settings(flags)
    assert str(told.value).startswith("prompts_file: ")


def test_a_file_that_is_not_there_not_text_or_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PromptsError, match="cannot be read"):
        read_prompts(tmp_path / "nothing.toml", Limits())
    path = tmp_path / "prompts.toml"
    path.write_bytes(b"\xff")
    with pytest.raises(PromptsError, match="not valid TOML"):
        read_prompts(path, Limits())
    path.write_bytes(b"#" * (4 * 2**20 + 1))
    with pytest.raises(PromptsError, match="larger than"):
        read_prompts(path, Limits())
