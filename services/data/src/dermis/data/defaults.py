"""Default values of the commands' options. The module imports little, so that `dermis --help` is fast."""

PUBLIC = "gs://dx-scin-public-data/dataset?anonymous=true"
"""The publisher's bucket."""
POLICY = "scin-grouped"
FRACTIONS = {"train": 0.6, "validation": 0.1, "calibration": 0.1, "test": 0.2}
RADIUS = 6
"""Bits in which the hashes of near-duplicates may differ.

docs/how-to/near-duplicates.md says what that finds and confuses.
"""
COSINE = 0.9995
"""Least cosine of near-duplicates' embeddings, by the same page."""
