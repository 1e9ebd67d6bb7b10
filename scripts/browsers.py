"""The programs that ``tests/browser`` drives: Debian's Chromium and Firefox, and a TURN server.

``python scripts/browsers.py`` installs what is missing. That takes root and apt; it says so where either is not there.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["PROGRAMS", "InstallError", "ensure_all"]

PROGRAMS = {
    "chromium": Path("/usr/bin/chromium"),
    "firefox-esr": Path("/usr/bin/firefox-esr"),
    "coturn": Path("/usr/bin/turnserver"),
}
"""Package and program."""
_INSTALL_S = 300


class InstallError(Exception):
    """The programs could not be installed. The message says what to do."""


def ensure_all() -> None:
    """Install what is missing."""
    missing = [package for package, program in PROGRAMS.items() if not program.exists()]
    if not missing:
        return
    by_hand = f"apt-get install {' '.join(missing)}"
    if shutil.which("apt-get") is None:
        raise InstallError(f"The tests of browsers run Debian's {', '.join(missing)}, and there is no apt-get here.")
    if os.geteuid() != 0:
        raise InstallError(f"The tests of browsers run programs that only root can install: {by_hand}")
    _apt_get("update")
    _apt_get("install", "--yes", "--no-install-recommends", *missing)
    absent = [package for package in missing if not PROGRAMS[package].exists()]
    if absent:
        raise InstallError(f"apt-get installed {', '.join(absent)}, but not where it belongs.")


def _apt_get(*arguments: str) -> None:
    # In run level 1 packages start no daemons: the tests start their own TURN server.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    command = ["apt-get", "--quiet", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=_INSTALL_S)
    except subprocess.TimeoutExpired:
        raise InstallError(f"{' '.join(command)}: not done within {_INSTALL_S} s") from None
    if done.returncode:
        raise InstallError(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-2000:]}")


def main() -> int:
    try:
        ensure_all()
    except InstallError as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
