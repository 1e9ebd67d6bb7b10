"""Every check of the project, stage by stage, each timed against its budget in ``.ci/budget.toml``.

``make test`` runs it. The last line is ``N passed, N failed, N skipped`` over all test stages. With ``CI`` set nothing
may be skipped. ``python scripts/checks.py unit`` runs one stage.
"""

import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
TEST_WEIGHTS = ("silero-vad", "smart-turn-v3.2", "whisper-tiny.en", "whisper-base", "qwen2.5-coder-0.5b")


@dataclass
class Result:
    ok: bool = True
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    notes: list[str] = field(default_factory=list)


def call(*command: str | Path) -> bool:
    return subprocess.run([str(part) for part in command], cwd=ROOT, check=False).returncode == 0


def weights() -> Result:
    """The models that tests run: the smallest of each kind."""
    return Result(ok=call(BIN / "antiphon", "models", "fetch", *TEST_WEIGHTS))


def static() -> Result:
    """Lint, format, layers, types."""
    checks = [("ruff", "check", "."), ("ruff", "format", "--check", "."), ("lint-imports",), ("mypy",)]
    failed = [" ".join(check) for check in checks if not call(BIN / check[0], *check[1:])]
    return Result(ok=not failed, notes=[f"failed: {name}" for name in failed])


def unit() -> Result:
    """Everything that needs no server process and no embedded engine."""
    return pytest("unit", "not e2e and not engines and not clients and not browser")


def engines() -> Result:
    """The embedded engines, each by itself."""
    return pytest("engines", "engines and not e2e")


def e2e() -> Result:
    """Server processes driven from outside."""
    return pytest("e2e", "e2e")


def clients() -> Result:
    """The clients that people use, in environments of their own, drive a server process."""
    made = call(BIN / "python", "scripts/clients.py")
    return pytest("clients", "clients") if made else Result(ok=False, notes=["the clients could not be installed"])


def browser() -> Result:
    """Real browsers call the endpoint, and a server process."""
    made = call(BIN / "python", "scripts/browsers.py")
    return pytest("browser", "browser") if made else Result(ok=False, notes=["the browsers could not be installed"])


def pytest(name: str, markers: str) -> Result:
    report = ROOT / ".pytest_cache" / f"{name}.xml"
    report.parent.mkdir(exist_ok=True)
    report.unlink(missing_ok=True)
    ok = call(BIN / "python", "-m", "pytest", "-q", "-m", markers, f"--junit-xml={report}", "--durations=5")
    if not report.exists():
        return Result(ok=False, notes=["pytest did not report"])
    counts = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for suite in ElementTree.parse(report).getroot().iter("testsuite"):
        for key in counts:
            counts[key] += int(suite.get(key, "0"))
    failed = counts["failures"] + counts["errors"]
    passed = counts["tests"] - failed - counts["skipped"]
    return Result(ok and passed > 0, passed, failed, counts["skipped"])


STAGES: dict[str, Callable[[], Result]] = {
    "weights": weights,
    "static": static,
    "unit": unit,
    "engines": engines,
    "e2e": e2e,
    "clients": clients,
    "browser": browser,
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in STAGES]
    if unknown:
        print(f"no stage {unknown[0]!r}; stages are: {', '.join(STAGES)}")
        return 2
    budget = tomllib.loads((ROOT / ".ci" / "budget.toml").read_text())
    rows = [("install", float(os.environ["ANTIPHON_INSTALL_S"]), True)] if "ANTIPHON_INSTALL_S" in os.environ else []
    total = Result()
    for name in names or STAGES:
        print(f"\n== {name}", flush=True)
        began = time.monotonic()
        result = STAGES[name]()
        rows.append((name, time.monotonic() - began, result.ok))
        total.ok = total.ok and result.ok
        total.passed += result.passed
        total.failed += result.failed
        total.skipped += result.skipped
        for note in result.notes:
            print(note)
    print()
    for name, seconds, ok in rows:
        over = "  OVER BUDGET" if seconds > budget[name] else ""
        print(f"{name:10} {seconds:6.0f} s of {budget[name]:4} s  {'ok' if ok else 'FAILED'}{over}")
    if os.environ.get("CI") and total.skipped:
        print(f"{total.skipped} tests were skipped; here nothing may be")
        total.ok = False
    if not total.ok and not total.failed:
        total.failed = 1
    print(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped")
    return 0 if total.ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
