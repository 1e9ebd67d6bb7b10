"""``python -m bench.turn_set``: makes the labelled set of turns, in less than a minute.

Its voices are recordings of people (``tests/data/speech``; more of them where Debian's ``pocketsphinx-testdata`` is
installed), the server's own voices, espeak-ng where it is installed, and Kokoro where ``--kokoro`` (or ``$KOKORO``)
names a directory with ``kokoro.onnx`` and voices of Kokoro-82M 1.0 as they are in the package ``kokoro-js``
(``am_michael.bin``: 510 rows of 256 floats).
"""

import argparse
from collections import Counter
from pathlib import Path

from bench.turn_set.clips import RATE_HZ, folder
from bench.turn_set.present import kokoro_folder, made_into


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.turn_set", description=__doc__)
    parser.add_argument("--kokoro", type=Path, default=kokoro_folder(), help="directory of Kokoro's files")
    parser.add_argument("--into", type=Path, default=folder(), help="%(default)s")
    given = parser.parse_args()
    if given.kokoro is not None and not (given.kokoro / "kokoro.onnx").is_file():
        parser.error(f"there is no kokoro.onnx in {given.kokoro}")
    clips = made_into(given.into, given.kokoro)
    print("| kind | clips | voices |\n|---|---|---|")
    for kind, count in Counter(clip.kind for clip in clips).items():
        heard = sorted({clip.voice for clip in clips if clip.kind == kind and clip.voice})
        print(f"| {kind} | {count} | {len(heard)} |")
    turns = [clip for clip in clips if clip.spoken and clip.kind not in ("backchannel", "cough")]
    seconds = sum(len(clip.pcm) for clip in clips) / 2 / RATE_HZ
    print(f"\n{len(turns)} turns, {len({clip.voice for clip in turns})} voices, {seconds:.0f} s of audio")


if __name__ == "__main__":
    main()
