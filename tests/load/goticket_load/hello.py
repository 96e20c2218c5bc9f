"""The yardstick for any route: FastAPI saying hello, and nothing else."""

from fastapi import FastAPI

app = FastAPI(openapi_url=None)


@app.get("/")
async def hello() -> dict[str, str]:
    """Say it."""
    return {"hello": "world"}
