"""The web page."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from dermis.gateway.web.page import PAGE

router = APIRouter(include_in_schema=False)


@router.get("/")
async def page() -> HTMLResponse:
    return HTMLResponse(PAGE)
