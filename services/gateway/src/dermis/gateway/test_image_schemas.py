"""Test images as the HTTP API shows them."""

from pydantic import BaseModel, Field

from dermis.shared.test_images import ForcedKind


class ForcedOutcome(BaseModel):
    """How a case ends: `kind` of its outcome and its `reason`, or FAILED; SLOW: a DIFFERENTIAL after a minute or so."""

    kind: ForcedKind
    reason: str | None = Field(description="of an ABSTENTION; of a REJECTION the image's")


class PublishedTestImage(BaseModel):
    """An image that forces an outcome where a test key sends it; for a live key it is an image as any."""

    name: str
    forces: ForcedOutcome
    sha256: str = Field(description="of the image, a PNG")
    image: str = Field(description="where it is")


class PublishedTestImages(BaseModel):
    test_images: list[PublishedTestImage]
