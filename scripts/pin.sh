#!/bin/sh
# Write constraints.txt anew from what a fresh installation gets: scripts/pin.sh
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
{
    echo "# Exact versions of everything that is installed, tried on Python 3.11 to 3.14. Without addresses and hashes, so any"
    echo "# package index will do. Made by scripts/pin.sh."
    "$work/venv/bin/python" -m pip freeze --exclude-editable | sed -E \
        -e 's/^(hf-xet==.*)$/\1 ; platform_machine == "x86_64" or platform_machine == "aarch64" or platform_machine == "arm64" or platform_machine == "AMD64"/' \
        -e 's/^(xllamacpp==.*)$/\1 ; platform_machine != "ppc64le" and platform_machine != "s390x"/'
} > constraints.txt
