"""Model weights: a manifest of files with hashes, and how they are found and fetched."""
