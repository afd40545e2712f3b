"""Photos as VL Photographic Image, heatmaps as Secondary Capture."""

import hashlib
import io

from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import SecondaryCaptureImageStorage, VLPhotographicImageStorage

from dermis.shared.case import Heatmap, ReceivedImage
from dermis.standalone.dicom.header import LOSSY, Study, instance
from dermis.standalone.dicom.pixels import is_encapsulable, put_jpeg, put_rgb

PHOTOS, HEATMAPS = "photos", "heatmaps"
_PREPARED = "made smaller where it was large, turned upright, colours converted to sRGB, coded as JPEG"


def photo(study: Study, image: ReceivedImage, *, original: bytes | None, prepared: bytes | None) -> Dataset | None:
    """Return a photo: its original byte for byte where DICOM can hold it, else the prepared image.

    None where the original can't be held and none was prepared, as the image could not be read.
    """
    whole = original is not None and is_encapsulable(original, orientation=image.orientation)
    data = original if whole else prepared
    if data is None:
        return None
    dataset = instance(
        study,
        sop_class=VLPhotographicImageStorage,
        name=PHOTOS,
        digest=hashlib.sha256(data).hexdigest(),
        number=image.n,
        at=study.received.received_at,
        Modality="XC",
        SeriesNumber=1,
        ImageType=["ORIGINAL" if whole else "DERIVED", "PRIMARY"],
        ImageComments=study.comments,
        PatientOrientation="",
        Laterality="",
        AcquisitionContextSequence=[],
    )
    if not whole:
        dataset.DerivationDescription = _PREPARED
    put_jpeg(dataset, data)
    return dataset


def heatmap(study: Study, heatmap: Heatmap, *, number: int, overlay: bytes, prepared: bytes, photo: Dataset) -> Dataset:
    """Return a heatmap laid over its photo, as pixels, with a reference to that photo."""
    image = _laid_over(prepared, overlay)
    names = {ranked.condition: ranked.name for ranked in study.outcome.differential}
    dataset = instance(
        study,
        sop_class=SecondaryCaptureImageStorage,
        name=HEATMAPS,
        digest=hashlib.sha256(f"{heatmap.condition}\n".encode() + image.tobytes()).hexdigest(),
        number=number,
        at=study.outcome.finished_at,
        Modality="OT",
        ConversionType="WSD",
        SeriesNumber=2,
        ImageType=["DERIVED", "SECONDARY"],
        ImageComments=study.comments,
        PatientOrientation="",
        Laterality="",
        DerivationDescription=_words(f"where the model saw what speaks for {names.get(heatmap.condition, '')}"),
        SourceImageSequence=[_source(photo)],
        LossyImageCompression=LOSSY,
        LossyImageCompressionMethod="ISO_10918_1",
        LossyImageCompressionRatio=round(3 * image.width * image.height / len(prepared), 3),
    )
    put_rgb(dataset, image)
    return dataset


def coded(code: Code) -> Dataset:
    """Return a code as an item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item


def _source(photo: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = photo.SOPClassUID
    item.ReferencedSOPInstanceUID = photo.SOPInstanceUID
    item.PurposeOfReferenceCodeSequence = [coded(codes.DCM.SourceImageForImageProcessingOperation)]
    return item


def _laid_over(prepared: bytes, overlay: bytes) -> Image.Image:
    """Lay an overlay over the image that it was made for; both are our own, and small."""
    under = Image.open(io.BytesIO(prepared), formats=["JPEG"]).convert("RGBA")
    over = Image.open(io.BytesIO(overlay), formats=["PNG"]).convert("RGBA")
    return Image.alpha_composite(under, over.resize(under.size, Image.Resampling.BILINEAR)).convert("RGB")


def _words(text: str) -> str:
    """Return a text that fits DICOM's ST, without the backslash that separates values."""
    return text.replace("\\", "/")[:1024]
