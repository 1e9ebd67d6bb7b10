"""Audio as numbers: conversions, resampling, levels, features. Pure functions and small streams."""
