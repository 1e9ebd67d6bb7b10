"""Importing the package is cheap: engines and servers are loaded when they are used."""

import subprocess
import sys

import pytest

ENGINES = {"ctranslate2", "cv2", "hibari", "onnxruntime", "pywebrtc_audio", "rapidocr", "tokenizers", "xllamacpp"}
ON_DEMAND = ENGINES | {"PIL", "cryptography", "httpx2", "mcp"}
HEAVY = ON_DEMAND | {"httpx", "numpy", "openai", "pydantic", "starlette", "uvicorn", "websockets"}


def loaded_by(module: str, then: str = "pass") -> set[str]:
    code = f"import sys, {module}; {then}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in run.stdout.split()}


@pytest.mark.parametrize("module", ["antiphon", "antiphon.protocol.codec", "antiphon.cli.main"])
def test_heavy_packages_are_not_loaded_by(module: str) -> None:
    assert not HEAVY & loaded_by(module)


@pytest.mark.parametrize("module", ["antiphon.engines.registry", "antiphon.runtime.sessions", "antiphon.server.app"])
def test_what_not_every_server_needs_is_not_loaded_by(module: str) -> None:
    assert not ON_DEMAND & loaded_by(module)


def test_the_application_s_endpoint_brings_no_server_along() -> None:
    code = "import sys, antiphon.broker; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = set(run.stdout.split())
    assert not (HEAVY - {"httpx", "starlette"}) & {name.split(".")[0] for name in names}
    ours = {name.split(".")[1] for name in names if name.startswith("antiphon.")}
    assert ours == {"broker", "web"}


def test_the_client_of_mcp_servers_is_loaded_only_where_hosts_are_allowed() -> None:
    serving = "antiphon.server.serving, antiphon.server.runtime_values, antiphon.server.settings"
    then = "antiphon.server.runtime_values.mcp_client(antiphon.server.settings.Settings({}))"
    assert not {"mcp", "httpx2", "httpcore2", "jsonschema"} & loaded_by(serving, then.format("mcp={}"))
    allowed = then.format("mcp={'allowed_hosts': ('tools.example.com',)}")
    assert {"mcp", "httpx2"} <= loaded_by(serving, allowed)
