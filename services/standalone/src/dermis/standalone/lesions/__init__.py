"""What `--model lesions` serves: a bundle for six kinds of growths, for research, learned from PAD-UFES-20."""

from pathlib import Path

BUNDLE = Path(__file__).parent / "bundle"
