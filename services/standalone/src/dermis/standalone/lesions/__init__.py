"""What `--model lesions` serves: a model bundle for six kinds of growths, learned from PAD-UFES-20 (CC BY 4.0), for research."""

from pathlib import Path

BUNDLE = Path(__file__).parent / "bundle"
