"""``python -m bench.turn_set``: makes the labelled set of turns, in less than a minute.

Its voices are recordings of people (``tests/data/speech``; more of them where Debian's ``pocketsphinx-testdata`` is
installed), the server's own voices, espeak-ng where it is installed, and Kokoro where ``--kokoro`` (or ``$KOKORO``)
names a directory with ``kokoro.onnx`` and voices of Kokoro-82M 1.0 as they are in the package ``kokoro-js``
(``am_michael.bin``: 510 rows of 256 floats).
"""

import argparse
import os
from collections import Counter
from pathlib import Path

from bench.turn_set.clips import RATE_HZ, folder, is_made, save
from bench.turn_set.making import made
from bench.turn_set.voices import Voices


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.turn_set", description=__doc__)
    parser.add_argument("--kokoro", type=Path, default=os.environ.get("KOKORO"), help="directory of Kokoro's files")
    parser.add_argument("--into", type=Path, default=folder())
    parser.add_argument("--if-missing", action="store_true", help="make nothing where there is a set")
    given = parser.parse_args()
    if given.if_missing and is_made(given.into):
        return
    voices = Voices(Path(given.kokoro) if given.kokoro else None)
    clips = list(made(voices))
    save(clips, given.into)
    print("| kind | clips | voices |\n|---|---|---|")
    for kind, count in Counter(clip.kind for clip in clips).items():
        heard = sorted({clip.voice for clip in clips if clip.kind == kind and clip.voice})
        print(f"| {kind} | {count} | {len(heard)} |")
    turns = [clip for clip in clips if clip.spoken and clip.kind not in ("backchannel", "cough")]
    seconds = sum(len(clip.pcm) for clip in clips) / 2 / RATE_HZ
    print(f"\n{len(turns)} turns, {len({clip.voice for clip in turns})} voices, {seconds:.0f} s of audio")


if __name__ == "__main__":
    main()
