"""The labelled set of turns: ``python -m bench.turn_set`` makes it, ``load`` reads it."""

from bench.turn_set.clips import Clip, folder, load

__all__ = ["Clip", "folder", "load"]
