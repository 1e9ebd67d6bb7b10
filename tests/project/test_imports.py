"""Importing the package is cheap: engines and servers are loaded when they are used."""

import subprocess
import sys

import pytest

HEAVY = {
    "ctranslate2",
    "hibari",
    "numpy",
    "onnxruntime",
    "openai",
    "pydantic",
    "starlette",
    "tokenizers",
    "uvicorn",
    "xllamacpp",
}


def loaded_by(module: str) -> set[str]:
    code = f"import sys, {module}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in run.stdout.split()}


@pytest.mark.parametrize("module", ["antiphon", "antiphon.protocol.codec", "antiphon.cli.main"])
def test_heavy_packages_are_not_loaded_by(module: str) -> None:
    assert not HEAVY & loaded_by(module)


@pytest.mark.parametrize("module", ["antiphon.engines.registry", "antiphon.runtime.sessions", "antiphon.server.app"])
def test_engine_libraries_are_not_loaded_by(module: str) -> None:
    assert not {"ctranslate2", "hibari", "onnxruntime", "tokenizers", "xllamacpp"} & loaded_by(module)
