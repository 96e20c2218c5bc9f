"""A bound on request bodies, whether or not their length is announced.

Not FastAPI's `max_body_size`: that one sits outside every middleware and answers
with plain text, without a request id or an entry in the access log.
"""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.problems import Problem, problem_response


class BodyLimit:
    """Refuses bodies of more than `max_body_bytes` with 413."""

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self.app = app
        self._limit = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdecimal() and int(announced) > self._limit:
            too_large = Problem("body_too_large", f"At most {self._limit} bytes are accepted.")
            await problem_response(scope, too_large)(scope, receive, send)
            return
        read = 0

        async def receive_within_limit() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._limit:
                # FastAPI lets just this kind of exception through while it reads a body.
                raise HTTPException(413)
            return message

        await self.app(scope, receive_within_limit, send)
