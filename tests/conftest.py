"""What holds for all tests: property tests try the same examples in every run, without a clock."""

from hypothesis import settings

settings.register_profile("reproducible", derandomize=True, database=None, deadline=None)
settings.load_profile("reproducible")
