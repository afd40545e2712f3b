"""Routes of the probes: whether the process is alive, and whether it can do its work."""

from typing import Literal

from fastapi import APIRouter, HTTPException, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from dermis.gateway import metrics
from dermis.gateway.dependencies import PartsOf
from dermis.gateway.openapi import METRICS, problems
from dermis.shared.manifest import CURRENT_KEY

router = APIRouter(tags=["health"])


class Live(BaseModel):
    status: Literal["OK"] = "OK"


class Ready(BaseModel):
    """`broker` is a detail: without it cases are still taken in, and worked off later."""

    store: Literal["OK"] = "OK"
    broker: Literal["OK", "UNREACHABLE"]


@router.get("/livez", summary="Is the process alive?")
async def livez() -> Live:
    return Live()


@router.get("/readyz", summary="Can cases be taken in?", responses=problems(503))
async def readyz(parts: PartsOf) -> Ready:
    await run_in_threadpool(parts.pipeline.store.get_versioned, CURRENT_KEY)
    return Ready(broker="OK" if await parts.broker.load() else "UNREACHABLE")


@router.get("/metrics", summary="Counters for Prometheus", response_class=Response, responses=METRICS | problems(404))
async def show_metrics(parts: PartsOf) -> Response:
    if parts.settings.metrics_listen:  # they are shown there, and not where callers are
        raise HTTPException(404)
    return Response(parts.metrics.render(await parts.broker.load()), media_type=metrics.MEDIA_TYPE)
