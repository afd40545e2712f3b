"""The quality report of an image: measures at the working size, a verdict, its reasons and advice for a retake."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Verdict(StrEnum):
    USABLE = "USABLE"
    MARGINAL = "MARGINAL"
    UNUSABLE = "UNUSABLE"


class QualityMeasures(BaseModel):
    """An earlier project's eight measures, under its column names; formulas in docs/reference/quality-measures.md.

    `blur` and `sharpness` are one number, as in every row that it shows; both columns are kept.
    """

    model_config = ConfigDict(frozen=True)

    blur: float
    brightness_mean: float
    brightness_std: float
    underexp: float
    overexp: float
    contrast: float
    shadow: float
    sharpness: float


class QualityReport(BaseModel):
    """
    What was measured on one image and what follows; `reasons` are stable codes, `advice` is what to do about them.
    """

    model_config = ConfigDict(frozen=True)

    verdict: Verdict
    reasons: tuple[str, ...]
    advice: tuple[str, ...]
    measures: QualityMeasures | None
    """None if the image could not be decoded."""
    policy: str
