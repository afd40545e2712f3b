"""Judges a working image.

Eight measures are reported, and a verdict from signals that do not depend on the tone of the skin.

Formulas, sources and what the thresholds were measured on: docs/reference/quality-measures.md.
"""

import hashlib
import json
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

import cv2
import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict

from dermis.shared.report import QualityMeasures, QualityReport, Verdict
from dermis.worker.core.prepare import Image, Pixels, shrink

SIGNAL_SIZE = 256
"""Longest side at which signals are taken: there DCT scaling, area resampling and a phone's own kernel look alike."""
_LUMA = np.array([[0.299, 0.587, 0.114]], np.float32)
_REDNESS = np.array([[1, -0.5, -0.5]], np.float32)
_OFFSET = 8
"""Grey levels added to the local mean that contrast is relative to, so that black does not divide."""
_FINE_NOISE, _TEXTURE_NOISE, _REDNESS_NOISE = 0.06, 0.25, 0.35
"""What rounding samples to whole levels leaves in a band at worst, RMS in grey levels.

The value is 0.29 a channel, contours included.
"""
_WHITE_TEXTURE, _WHITE_REDNESS = 0.12, 0.2
"""Share of the finest band's energy that white noise leaves in the texture band and in redness.

Redness is measured after chroma subsampling.
"""
_LEAST = 0.001
_BORDER = 4
"""Pixels at the frame's border whose gradients its mirroring bends."""


class Reason(StrEnum):
    UNREADABLE = "UNREADABLE"
    LOW_RESOLUTION = "LOW_RESOLUTION"
    TOO_DARK = "TOO_DARK"
    TOO_BRIGHT = "TOO_BRIGHT"
    NOTHING_VISIBLE = "NOTHING_VISIBLE"
    BLURRED = "BLURRED"
    NOT_SKIN = "NOT_SKIN"
    """By the skin gate (`core.skin`), never by the policy."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Number(_Frozen):
    """A number and where it is from."""

    value: float
    measured_on: str
    by: str


class Limit(_Frozen):
    """A signal below `unusable` makes an image unusable, below `marginal` marginal."""

    unusable: Number
    marginal: Number


def _unset(signal: str) -> Number:
    return Number(value=0, measured_on=f"a policy from before {signal} was measured judges none", by="default")


class Thresholds(_Frozen):
    dark_level: Number
    bright_level: Number
    seen_share: Limit
    texture: Number
    redness: Number
    blur_level: Number
    blur_structure: Number
    fine_to_middle: Number
    fine_to_coarse: Number
    short_side: Limit
    highlights: Number = _unset("highlights")
    isotropy: Number = _unset("isotropy")


def _complete(advice: dict[Reason, str]) -> dict[Reason, str]:
    if set(advice) != (expected := set(Reason) - {Reason.NOT_SKIN}):
        raise ValueError(f"advice needs exactly the reasons {', '.join(sorted(expected))}")
    return advice


class Policy(_Frozen):
    """`quality_policy.json`: thresholds with their provenance, and what to advise for each reason."""

    format: Literal["dermis.quality-policy/1"]
    thresholds: Thresholds
    advice: Annotated[dict[Reason, str], AfterValidator(_complete)]

    @property
    def id(self) -> str:
        """The SHA-256 of the canonical JSON (sorted keys, no spaces)."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What the verdict rests on; contrasts are RMS and relative to the local mean, so light and tone cancel out.

    `dark`, `bright`: shares of the frame that are black or burnt out. `texture`: contrast of structures of 1 to 8 px,
    `redness`: of red against green and blue, both above noise. `fine_to_middle`, `fine_to_coarse`: contrast of
    structures of 1-2 px over those of 2-4 and 4-8 px; the first falls with any blur, the second tells a heavy one.
    `structure`: RMS of the middle ones in grey levels. `level`: the mean grey. `short_side`: in pixels.
    `highlights`: the level of the brightest channel, above noise, that 1 % of the frame exceeds. `isotropy`: energy of
    gradients across the weakest direction over that across the strongest; near 0 where one row or stripe is repeated.
    """

    dark: float
    bright: float
    texture: float
    redness: float
    fine_to_middle: float
    fine_to_coarse: float
    structure: float
    level: float
    short_side: int
    highlights: float = 255.0
    isotropy: float = 1.0


def assess(working: Image, policy: Policy) -> QualityReport:
    """Judge a working image, uint8[H,W,3]."""
    grey = cv2.cvtColor(working, cv2.COLOR_RGB2GRAY)
    verdict, reasons = judge(signals(working, policy.thresholds), policy.thresholds)
    return QualityReport(
        verdict=verdict,
        reasons=tuple(reasons),
        advice=tuple(policy.advice[reason] for reason in reasons),
        measures=measures(np.asarray(grey)),
        policy=policy.id,
    )


def unreadable(policy: Policy, why: str = "") -> QualityReport:
    """Return the report of an image that could not be decoded.

    `why`, with a remedy, is its advice where it is known.
    """
    return QualityReport(
        verdict=Verdict.UNUSABLE,
        reasons=(Reason.UNREADABLE,),
        advice=(f"{why[0].upper()}{why[1:]}." if why else policy.advice[Reason.UNREADABLE],),
        measures=None,
        policy=policy.id,
    )


def measures(grey: Pixels) -> QualityMeasures:
    """Return an earlier project's eight measures of a grey image, uint8[H,W], all but sharpness from one histogram."""
    shares = np.asarray(cv2.calcHist([grey], [0], None, [256], [0, 256]), np.float64).ravel() / grey.size
    levels = np.arange(256)
    mean = float(shares @ levels)
    low, median, high = (int(np.argmax(np.cumsum(shares) >= part)) for part in (0.01, 0.5, 0.99))
    sharpness = float(np.asarray(cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))[1]).item() ** 2)
    return QualityMeasures(
        blur=sharpness,
        brightness_mean=mean,
        brightness_std=math.sqrt(shares @ (levels - mean) ** 2),
        underexp=float(shares[:13].sum()),
        overexp=float(shares[243:].sum()),
        contrast=(high - low) / 255,
        shadow=float(shares[levels < median / 2].sum()),
        sharpness=sharpness,
    )


def signals(working: Image, thresholds: Thresholds) -> Signals:
    """Return the signals of a working image, uint8[H,W,3]."""
    small = shrink(np.asarray(working, np.float32), SIGNAL_SIZE)
    red, green, blue = cv2.split(small)
    grey = cv2.transform(small, _LUMA)
    redness = cv2.transform(small, _REDNESS)
    brightest = cv2.max(cv2.max(red, green), blue)
    at1, at2, at4, at8 = (cv2.GaussianBlur(grey, (0, 0), sigma) for sigma in (1, 2, 4, 8))
    weight = 1 / (at8 + _OFFSET)
    level_noise = _energy(weight)

    def contrast(plane: Pixels, *, white: Pixels | None = None, share: float = 0, noise: float = 0) -> float:
        """RMS relative to the local mean, without what white noise, told by the finest band, and fixed noise leave."""
        grain = share * _energy(white * weight) if white is not None else 0
        return _root(_energy(plane * weight) - grain - noise**2 * level_noise)

    smooth = cv2.GaussianBlur(redness, (0, 0), 2)
    fine, middle, coarse = contrast(at1 - at2, noise=_FINE_NOISE), contrast(at2 - at4), contrast(at4 - at8)
    return Signals(
        dark=float(np.mean(brightest < thresholds.dark_level.value)),
        bright=float(np.mean(cv2.min(cv2.min(red, green), blue) > thresholds.bright_level.value)),
        texture=contrast(at1 - at8, white=grey - at1, share=_WHITE_TEXTURE, noise=_TEXTURE_NOISE),
        redness=contrast(
            smooth - float(np.mean(smooth)),
            white=redness - cv2.GaussianBlur(redness, (0, 0), 1),
            share=_WHITE_REDNESS,
            noise=_REDNESS_NOISE,
        ),
        fine_to_middle=fine / (middle + _LEAST),
        fine_to_coarse=fine / (coarse + _LEAST),
        structure=_root(_energy(at2 - at4)),
        level=float(np.mean(grey)),
        short_side=min(working.shape[:2]),
        highlights=float(np.percentile(cv2.GaussianBlur(brightest, (0, 0), 2), 99)),
        isotropy=_isotropy(at2),
    )


def _isotropy(smooth: Pixels) -> float:
    """Return the smaller over the larger eigenvalue of the mean structure tensor; 1 where there is no gradient."""
    across, down = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    if min(smooth.shape) > 4 * _BORDER:
        inner = slice(_BORDER, -_BORDER)
        across, down = across[inner, inner], down[inner, inner]
    mixed = float(np.mean(across * down))
    least, most = np.linalg.eigvalsh([[_energy(across), mixed], [mixed, _energy(down)]])
    return max(0.0, float(least / most)) if most > 0 else 1.0


def _energy(plane: Pixels) -> float:
    return cv2.norm(plane, cv2.NORM_L2SQR) / plane.size


def _root(energy: float) -> float:
    return math.sqrt(max(0.0, energy))


def judge(signals: Signals, thresholds: Thresholds) -> tuple[Verdict, list[Reason]]:
    """Return the verdict and all reasons for it, the gravest first; what shows nothing is not judged for blur."""
    unlit = Reason.TOO_DARK if signals.dark >= signals.bright else Reason.TOO_BRIGHT
    verdicts = {
        unlit: _below(1 - signals.dark - signals.bright, thresholds.seen_share),
        Reason.LOW_RESOLUTION: _below(signals.short_side, thresholds.short_side),
    }
    if signals.highlights < thresholds.highlights.value:
        verdicts[Reason.TOO_DARK] = Verdict.UNUSABLE
    flat = signals.texture < thresholds.texture.value and signals.redness < thresholds.redness.value
    if flat or signals.isotropy < thresholds.isotropy.value:
        verdicts[_why_nothing(signals)] = Verdict.UNUSABLE
    else:
        verdicts[Reason.BLURRED] = _blur(signals, thresholds)
    reasons = [
        reason
        for grave in (Verdict.UNUSABLE, Verdict.MARGINAL)
        for reason, verdict in verdicts.items()
        if verdict is grave
    ]
    return verdicts[reasons[0]] if reasons else Verdict.USABLE, reasons


def _blur(signals: Signals, thresholds: Thresholds) -> Verdict:
    """Return MARGINAL at worst for a dark image whose fine structures rounding may have taken.

    Only rounding to whole levels counts.
    """
    certain = signals.level >= thresholds.blur_level.value or signals.structure >= thresholds.blur_structure.value
    if certain and signals.fine_to_coarse < thresholds.fine_to_coarse.value:
        return Verdict.UNUSABLE
    return Verdict.MARGINAL if signals.fine_to_middle < thresholds.fine_to_middle.value else Verdict.USABLE


def _why_nothing(signals: Signals) -> Reason:
    if signals.level < 32:
        return Reason.TOO_DARK
    return Reason.TOO_BRIGHT if signals.level > 240 else Reason.NOTHING_VISIBLE


def _below(value: float, limit: Limit) -> Verdict:
    if value < limit.unusable.value:
        return Verdict.UNUSABLE
    return Verdict.MARGINAL if value < limit.marginal.value else Verdict.USABLE
