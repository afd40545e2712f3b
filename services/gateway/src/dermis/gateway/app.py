"""The ASGI application over its parts."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path

from fastapi import Depends, FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware
from starlette.staticfiles import StaticFiles

from dermis.gateway import deprecations, openapi, problems
from dermis.gateway.compression import Compression
from dermis.gateway.dependencies import Dependencies
from dermis.gateway.deprecations import DeprecationNotices
from dermis.gateway.door import Door
from dermis.gateway.middleware import Edge, HeadAsGet
from dermis.gateway.parameters import check_query
from dermis.gateway.routes import (
    batches,
    cases,
    health,
    images,
    models,
    ops,
    page,
    reports,
    reviews,
    shares,
    test_images,
    uploads,
    webhooks,
)
from dermis.shared.audit import EVERY_SECONDS, Audit

_ASSETS = Path(__file__).parent / "web" / "assets"


def create_app(parts: Dependencies) -> FastAPI:
    """Return the application; while it runs, the broker brings it news of cases."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        feed = asyncio.create_task(parts.broker.feed(parts.pipeline.hub))
        audit = asyncio.create_task(_write_audit(parts.audit))
        yield
        for task in (feed, audit):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await parts.broker.close()
        await parts.guard.close()
        await run_in_threadpool(parts.audit.flush)

    app = FastAPI(
        title="dermis",
        version=version("dermis"),
        description="The open system for inclusive skin-condition assessment. Not a medical device.",
        docs_url=None,  # FastAPI's pages load scripts from elsewhere
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        lifespan=lifespan,
        # A redirect would go to whatever host the client named, perhaps without TLS, body and all.
        redirect_slashes=False,
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
        },  # its spans hold paths and queries: the edge's hold routes
    )
    app.state.parts = parts
    if parts.sign_in:
        parts.sign_in.install(app)
    if origins := parts.settings.origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"], expose_headers=["*"]
        )
    app.add_middleware(Door, settings=parts.settings)
    app.add_middleware(Compression)
    app.add_middleware(DeprecationNotices, table=deprecations.DEPRECATIONS)
    app.add_middleware(HeadAsGet)
    app.add_middleware(Edge, metrics=parts.metrics, audit=parts.audit)
    problems.install(app)
    for api in (cases, reports, images, shares, uploads, batches, webhooks, models, test_images):
        app.include_router(api.router, dependencies=[Depends(check_query)])
    for router in (health.router, page.router, reviews.router, ops.router):
        app.include_router(router)
    app.mount("/assets", StaticFiles(directory=_ASSETS), name="assets")
    app.openapi = lambda: openapi.describe(app)  # type: ignore[method-assign]
    return app


async def _write_audit(audit: Audit) -> None:
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        await run_in_threadpool(audit.flush)
