"""The labelled set of turns: ``python -m bench.turn_set`` makes it, ``at_hand`` does too where there is none."""

from bench.turn_set.clips import Clip, folder, load
from bench.turn_set.present import at_hand

__all__ = ["Clip", "at_hand", "folder", "load"]
