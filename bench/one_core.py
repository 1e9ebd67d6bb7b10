"""``antiphon serve`` with the real detector of speech and scripted engines for everything else, on one core.

``python -m bench.one_core CORE serve ...``: engines other than the detector then cost next to nothing.
"""

import os
import sys
from collections.abc import Mapping
from typing import Any

__all__: list[str] = []


def main() -> None:
    core = int(sys.argv.pop(1))
    os.sched_setaffinity(0, {core})
    # Imported only now: the libraries' own threads belong to that core, too.
    from antiphon.cli.main import main as antiphon
    from antiphon.engines import registry
    from antiphon.engines.registry import EngineKind
    from antiphon.testing import scripted

    plain = scripted.engines

    def engines() -> Mapping[EngineKind, Any]:
        return {**plain(), EngineKind.VAD: registry.create(EngineKind.VAD, "silero", {})}

    scripted.engines = engines  # type: ignore[assignment]
    antiphon()


if __name__ == "__main__":
    main()
