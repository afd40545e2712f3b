"""Routes of test images, which force the outcome of a test key's case."""

from fastapi import APIRouter, Response
from starlette.concurrency import run_in_threadpool

from dermis.gateway.dependencies import ModelsReader
from dermis.gateway.openapi import TEST_IMAGE, problems
from dermis.gateway.test_image_schemas import ForcedOutcome, PublishedTestImage, PublishedTestImages
from dermis.shared.errors import DermisError, Kind
from dermis.shared.test_images import FORCED_ENDS, ForcedEnd, digest_of_drawing, drawing

router = APIRouter(prefix="/v1/test-images", tags=["test images"])


@router.get("", summary="List the images that force an outcome with a test key", responses=problems(503))
async def list_test_images(_reader: ModelsReader) -> PublishedTestImages:
    return await run_in_threadpool(_list)


@router.get(
    "/{name}",
    summary="Show a test image",
    response_class=Response,
    responses={**TEST_IMAGE, **problems(404, 422, 503)},
)
async def get_test_image(name: str, _reader: ModelsReader) -> Response:
    if name not in {end.name for end in FORCED_ENDS}:
        detail = f"there is no test image {name[:64]!r}; /v1/test-images lists all"
        raise DermisError(Kind.NOT_FOUND, "TEST_IMAGE_NOT_FOUND", detail)
    return Response(await run_in_threadpool(drawing, name), media_type="image/png")


def _list() -> PublishedTestImages:
    return PublishedTestImages(test_images=[_published(end) for end in FORCED_ENDS])


def _published(end: ForcedEnd) -> PublishedTestImage:
    return PublishedTestImage(
        name=end.name,
        forces=ForcedOutcome(kind=end.kind, reason=end.reason),
        sha256=digest_of_drawing(end.name),
        image=f"/v1/test-images/{end.name}",
    )
