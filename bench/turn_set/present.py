"""The set for those that measure with it: made first, where there is none."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.turn_set.clips import Clip, Kind, folder, is_made, load, save

__all__ = ["at_hand", "kokoro_folder", "made_into"]


def at_hand(*, kinds: Sequence[Kind] = ()) -> list[Clip]:
    """The clips of the set, all or of some kinds; where there is none it is made, and said so on standard error."""
    if not is_made(folder()):
        _tell(f"There is no labelled set of turns in {folder()}: it is made now, in less than a minute.")
        made_into(folder(), kokoro_folder())
    return load(kinds=kinds)


def kokoro_folder() -> Path | None:
    """What ``$KOKORO`` names."""
    return Path(os.environ["KOKORO"]) if os.environ.get("KOKORO") else None


def made_into(where: Path, kokoro: Path | None) -> list[Clip]:
    """Makes the set with the voices that there are, and says who is missing. ``kokoro``: see ``Voices``."""
    from bench.turn_set.making import made
    from bench.turn_set.voices import Voices

    voices = Voices(kokoro)
    for line in voices.missing():
        _tell(line)
    clips = list(made(voices))
    save(clips, where)
    return clips


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
