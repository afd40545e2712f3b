"""Cases of every kind that becomes DICOM otherwise, in a store."""

import io
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from PIL import Image

from dermis.shared.case import (
    Heatmap,
    ModelRef,
    Outcome,
    OutcomeKind,
    RankedCondition,
    Received,
    ReceivedImage,
    RedFlag,
    Urgency,
    fact_key,
    heatmap_key,
    image_key,
)
from dermis.shared.codes import ICD_10, ICD_11, Code
from dermis.shared.ids import new_id
from dermis.shared.images.header import clean
from dermis.shared.ports import BlobStore
from dermis.shared.vocabulary import SelfReport

OWNER = "public"
RECEIVED_AT = datetime(2026, 11, 30, 9, 30, 15, 250_000, tzinfo=UTC)
FINISHED_AT = datetime(2026, 11, 30, 9, 30, 17, tzinfo=UTC)
REFERENCE = "visit-17.b"
DEMO = ModelRef(name="demo", version=3, purpose="demo")
RESEARCH = ModelRef(name="lesions", version=2, purpose="research")
CODED = RankedCondition(
    condition="melanoma",
    name="Melanoma",
    probability=0.625,
    in_prediction_set=True,
    codes=(
        Code(system=ICD_11, code="2C30.Z", display="Melanoma of skin, unspecified"),
        Code(system=ICD_10, code="C43.9", display="Malignant melanoma of skin, unspecified"),
    ),
)
UNCODED = RankedCondition(condition="rare_thing", name="Rare thing", probability=0.375, in_prediction_set=False)
RED_FLAG = RedFlag(flag="BLEEDING", text="It bleeds: let it be looked at soon.", urgency=Urgency.SOON)


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """`original` as it is uploaded; `orientation` as its EXIF says."""

    original: bytes
    prepared: bytes | None
    orientation: int = 1
    keep_original: bool = True


def pixels(width: int = 97, height: int = 64, *, seed: int = 1) -> Image.Image:
    """Return a picture of smooth colours and some noise, of odd width."""
    rng = np.random.default_rng(seed)
    down, across = np.mgrid[0:height, 0:width]
    smooth = np.stack([across * 2, down * 3, 90 + (across + down) % 90], axis=-1)
    return Image.fromarray(np.uint8(np.clip(smooth + rng.integers(0, 20, smooth.shape), 0, 255)))


def coded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def prepared(image: Image.Image) -> bytes:
    return coded(image, quality=95, subsampling=0)


def photos() -> dict[str, Photo]:
    """Return a photo of each way into DICOM by its name."""
    image = pixels()
    turned = image.transpose(Image.Transpose.ROTATE_90)
    return {
        "420": Photo(original=coded(image, subsampling=2), prepared=prepared(image)),
        "444": Photo(original=coded(image, subsampling=0), prepared=prepared(image)),
        "422": Photo(original=coded(image, subsampling=1), prepared=prepared(image)),
        "grey": Photo(original=coded(image.convert("L")), prepared=prepared(image.convert("L").convert("RGB"))),
        "progressive": Photo(original=coded(image, progressive=True), prepared=prepared(image)),
        "turned": Photo(original=coded(image), prepared=prepared(turned), orientation=6),
        "png": Photo(original=coded(image, "PNG"), prepared=prepared(image)),
        "heic": Photo(original=b"", prepared=prepared(image), keep_original=False),
    }


def put_case(
    store: BlobStore,
    *images: Photo,
    model: ModelRef | None = RESEARCH,
    kind: OutcomeKind = OutcomeKind.DIFFERENTIAL,
    reference: str | None = REFERENCE,
    livemode: bool = True,
    report: SelfReport | None = None,
) -> str:
    """Put a finished case and return its id."""
    case_id = new_id("case")
    listed = [_image(n, each) for n, each in enumerate(images, 1)]
    received = Received(
        case_id=case_id,
        owner=OWNER,
        received_at=RECEIVED_AT,
        images=tuple(listed),
        self_report=report or SelfReport(),
        client_reference=reference,
        livemode=livemode,
    )
    drawn = Heatmap(n=1, condition=CODED.condition, place=0)
    outcome = Outcome(
        case_id=case_id,
        finished_at=FINISHED_AT,
        kind=kind,
        reason=None if model else "IMAGES_UNUSABLE",
        differential=(CODED, UNCODED) if model else (),
        advice=() if model else ("Take it by daylight.",),
        red_flags=(RED_FLAG,),
        model=model,
        images_used=tuple(range(1, len(images) + 1)) if model else (),
        heatmaps=(drawn,) if model and images else (),
    )
    for n, image in enumerate(images, 1):
        if image.keep_original:
            store.put_once(image_key(OWNER, case_id, n, "original"), clean(image.original).data)
        if image.prepared is not None:
            store.put_once(image_key(OWNER, case_id, n, "prepared"), image.prepared)
    if model and images:
        store.put_once(heatmap_key(OWNER, case_id, drawn, model), overlay())
    store.put_once(fact_key(OWNER, case_id, "received"), received.model_dump_json().encode())
    store.put_once(fact_key(OWNER, case_id, "outcome"), outcome.model_dump_json().encode())
    return case_id


def overlay() -> bytes:
    """Return a heatmap as a worker draws it: colours with transparency."""
    levels = np.tile(np.arange(97, dtype=np.uint8), (64, 1))
    return coded(Image.fromarray(np.dstack([levels * 0, levels, 255 - levels, levels * 2])), "PNG")


def _image(n: int, image: Photo) -> ReceivedImage:
    return ReceivedImage(
        n=n,
        content_type="image/jpeg",
        bytes=len(image.original),
        sha256="0" * 64,
        width=97,
        height=64,
        orientation=image.orientation,
        keep_original=image.keep_original,
    )
