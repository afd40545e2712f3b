"""What `dermis demo` needs: a model bundle that was trained on generated cases, and one such case."""

from pathlib import Path

BUNDLE = Path(__file__).parent / "bundle"
CASE = Path(__file__).parent / "case"
