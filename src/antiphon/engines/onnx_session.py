"""What the engines on ONNX Runtime share: sessions that take the threads they are given and no more."""

from pathlib import Path
from typing import Any

from antiphon.engines.errors import EngineSettingsError

__all__ = ["open_session"]

_ERRORS_ONLY = 3


def open_session(engine: str, path: Path, *, threads: int = 1, arena: bool = True) -> Any:
    """An ``onnxruntime.InferenceSession`` on the CPU; its ``run`` may be called from several threads at once.

    Without ``arena`` memory is given back after each run: for inputs that are large and seldom.

    Raises ``EngineSettingsError`` if the file is no model.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = arena
    options.log_severity_level = _ERRORS_ONLY
    # A spinning thread would take a core from the language model between two calls.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's own exceptions have no common base class
        raise EngineSettingsError(f"{engine}: {path.name} cannot be loaded as an ONNX model") from error
