"""Tells whether a working image shows skin, before any model sees it.

EfficientNet-Lite0 (ImageNet weights, Apache-2.0), pooled at several depths, and one linear layer; a number below the
threshold is no skin. What it was trained on and how it was measured: docs/reference/skin-gate.md.
"""

import hashlib
from importlib.resources import as_file
from importlib.resources.abc import Traversable
from pathlib import Path
from threading import Lock
from typing import Literal

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict

from dermis.shared.errors import DermisError, Kind
from dermis.shared.openvino import core
from dermis.shared.report import QualityReport, Verdict
from dermis.worker.core.prepare import Image
from dermis.worker.core.quality import Number, Reason

_CONFIG = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}


class GateSpec(BaseModel):
    """`skin_gate.json`: the weights by their SHA-256, the input's size in pixels, the threshold and the advice."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["dermis.skin-gate/1"]
    weights: str
    image_size: int
    threshold: Number
    advice: str


class Gate:
    """The gate's network and its threshold; INVALID if the weights (a TFLite model) are not those of the spec."""

    def __init__(self, spec: GateSpec, weights: Path) -> None:
        if hashlib.sha256(weights.read_bytes()).hexdigest() != spec.weights:
            detail = "skin_gate.tflite is not what skin_gate.json names: install the package again"
            raise DermisError(Kind.INVALID, "SKIN_GATE", detail)
        self.spec = spec
        self._network = core().compile_model(str(weights), "CPU", _CONFIG)
        self._lock = Lock()

    @property
    def id(self) -> str:
        """The SHA-256 of weights, threshold and advice."""
        return "sha256:" + hashlib.sha256(self.spec.model_dump_json().encode()).hexdigest()

    def score(self, working: Image) -> float:
        """Return the log-odds that a working image, uint8[H,W,3], shows skin."""
        pixels = gate_input(working, self.spec.image_size).astype(np.float32)
        with self._lock:  # its one request holds input and output
            return float(self._network(pixels[None])[0].item())

    def refuses(self, verdict: Verdict, score: float) -> bool:
        return verdict is not Verdict.UNUSABLE and score < self.spec.threshold.value

    def judge(self, report: QualityReport, score: float) -> QualityReport:
        """Return a quality report with NOT_SKIN as its first reason where the score is below the threshold.

        An image that is unusable already keeps its report: what can't be seen is not judged for skin.
        """
        if not self.refuses(report.verdict, score):
            return report
        reasons, advice = (Reason.NOT_SKIN, *report.reasons), (self.spec.advice, *report.advice)
        return report.model_copy(update={"verdict": Verdict.UNUSABLE, "reasons": reasons, "advice": advice})


def read_gate(folder: Traversable) -> Gate:
    """Return the gate of the files `skin_gate.json` and `skin_gate.tflite` in a package's folder."""
    spec = GateSpec.model_validate_json(folder.joinpath("skin_gate.json").read_bytes())
    with as_file(folder.joinpath("skin_gate.tflite")) as weights:
        return Gate(spec, weights)


def gate_input(working: Image, size: int) -> Image:
    """Return uint8[size,size,3] of the whole image; aspect is not kept, so that it can't tell anything."""
    return np.asarray(cv2.resize(working, (size, size), interpolation=cv2.INTER_AREA), np.uint8)
