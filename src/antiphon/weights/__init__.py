"""Model weights: a manifest of files with hashes, where they are on this machine, and how they are fetched.

Engine factories call ``directory`` or ``single_file``; only ``fetch`` touches a network.
"""

from antiphon.weights.catalogue import MODELS
from antiphon.weights.errors import CacheError, WeightsError, WeightsMissing
from antiphon.weights.fetching import fetch
from antiphon.weights.manifest import File, Model
from antiphon.weights.progress import Progress, Silent
from antiphon.weights.search import Place, State, Status, directory, get, missing, single_file, status

__all__ = [
    "MODELS",
    "CacheError",
    "File",
    "Model",
    "Place",
    "Progress",
    "Silent",
    "State",
    "Status",
    "WeightsError",
    "WeightsMissing",
    "directory",
    "fetch",
    "get",
    "missing",
    "single_file",
    "status",
]
