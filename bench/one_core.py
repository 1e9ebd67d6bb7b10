"""``antiphon serve`` with the real detector of speech and scripted engines for everything else, on one core.

``python -m bench.one_core CORE serve ...``: engines other than the detector then cost next to nothing.
"""

import os
import sys
from collections.abc import Mapping

from antiphon.engines import registry
from antiphon.engines.base import Engine
from antiphon.engines.registry import EngineKind
from antiphon.testing import scripted

__all__: list[str] = []


def main() -> None:
    core = int(sys.argv.pop(1))
    os.sched_setaffinity(0, {core})
    plain = scripted.engines

    def engines() -> Mapping[EngineKind, Engine]:
        return {**plain(), EngineKind.VAD: registry.create(EngineKind.VAD, "silero", {})}

    scripted.engines = engines  # type: ignore[assignment]
    from antiphon.cli.main import main as antiphon

    antiphon()


if __name__ == "__main__":
    main()
