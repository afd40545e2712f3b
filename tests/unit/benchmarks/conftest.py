"""Benchmarks of what the trainer makes are tested where its packages are."""

from importlib.util import find_spec

NEEDS_TENSORFLOW = ["test_codes.py", "test_refusals.py", "test_reviews.py", "test_scin_size.py", "test_skin_gate.py"]
collect_ignore = [] if find_spec("tensorflow") else NEEDS_TENSORFLOW
