"""What holds for all tests: property tests try the same examples in every run, without a clock."""

import gc

from hypothesis import settings

settings.register_profile("reproducible", derandomize=True, database=None, deadline=None)
settings.load_profile("reproducible")


def pytest_collection_finish() -> None:
    """Tests that ask the garbage collector what they left behind do not have it go through all other tests each time:
    0.7 s a test, of half a million objects."""
    gc.collect()
    gc.freeze()
