#!/bin/sh
# Make a virtual environment and install antiphon into it: install.sh VENV REQUIREMENT
set -eu
venv=$1
requirement=$2

usable() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
find_python() {
    for candidate in "${ANTIPHON_PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
        if [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 && usable "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
}
system_packages() {
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "antiphon needs Python 3.11 or newer with its venv module. Install them (on Debian and Ubuntu:" >&2
        echo "  sudo apt-get install python3 python3-venv python3-pip" >&2
        echo "), then run the same command again." >&2
        exit 1
    fi
    echo "Installing python3, python3-venv and python3-pip ..."
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3 python3-venv python3-pip
}

python=$(find_python)
if [ -z "$python" ] || ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    system_packages
    python=$(find_python)
fi
if [ -z "$python" ]; then
    echo "antiphon needs Python 3.11 or newer; this system's packages are older. Set ANTIPHON_PYTHON to one." >&2
    exit 1
fi
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
echo "Installing antiphon into $venv ..."
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable "$requirement"
