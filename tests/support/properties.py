"""Settings of the property tests: bounded, and the same examples in every run."""

import os

from hypothesis import HealthCheck, settings

__all__ = ["bounded"]

_TIMES = int(os.environ.get("EXAMPLES_TIMES", "1"))
"""With more than 1, a search for what nobody has thought of: so many times the examples, and others in each run."""


def bounded(examples: int) -> settings:
    return settings(
        max_examples=examples * _TIMES,
        derandomize=_TIMES == 1,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
