"""How turns are taken, scored on the labelled set: ``python -m bench.turns``."""
