"""Settings of the property tests: bounded, and the same examples in every run."""

from hypothesis import HealthCheck, settings

__all__ = ["bounded"]


def bounded(examples: int) -> settings:
    return settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
