"""The document of the API, and Swagger UI from our own files under a strict policy."""

from importlib import resources

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

router = APIRouter(include_in_schema=False)

SWAGGER_UI = "fastapi_swagger.resources"
"""Swagger UI 5 as files; the rest of that package is not used."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
PAGE_HEADERS = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
ASSET_HEADERS = {**PAGE_HEADERS, "Cache-Control": "public, max-age=3600"}
ASSETS = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}


@router.get("/openapi.json")
async def get_openapi_document(request: Request) -> JSONResponse:
    """OpenAPI 3.1."""
    return JSONResponse(request.app.openapi(), headers={"Cache-Control": "no-cache"})


@router.get("/docs")
async def get_docs() -> HTMLResponse:
    """Swagger UI."""
    page = resources.files("gateway").joinpath("pages/docs.html").read_text("utf-8")
    return HTMLResponse(page, headers=PAGE_HEADERS)


@router.get("/docs/{name}")
async def get_docs_asset(name: str) -> Response:
    """A file of the page."""
    if name == "docs.js":
        script = resources.files("gateway").joinpath("pages/docs.js").read_text("utf-8")
        return Response(script, media_type="text/javascript", headers=ASSET_HEADERS)
    if name not in ASSETS:
        raise HTTPException(404)  # as for an address without a route: it counts as unknown
    content = resources.files(SWAGGER_UI).joinpath(name).read_bytes()
    return Response(content, media_type=ASSETS[name], headers=ASSET_HEADERS)
