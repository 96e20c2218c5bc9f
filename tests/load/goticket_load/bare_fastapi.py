"""The baseline of every route: a FastAPI application with one trivial endpoint."""

from fastapi import FastAPI

app = FastAPI(openapi_url=None)


@app.get("/")
async def hello() -> dict[str, str]:
    """Return a constant."""
    return {"hello": "world"}
