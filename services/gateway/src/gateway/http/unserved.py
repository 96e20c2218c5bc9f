"""Responses to requests that do not reach the application, because HTTP does not allow it."""

from collections.abc import Iterable, Mapping

from goticket_platform.logs import get_logger
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from gateway.http.exchange import DEFAULT_HEADERS, REQUEST_ID, request_id_of
from gateway.http.problems import Problem, render
from gateway.http.request_metrics import count_unserved

logger = get_logger(__name__)


def unserved_response(
    problem: Problem,
    method: bytes,
    target: bytes,
    headers: Mapping[bytes, bytes],
    server_headers: Iterable[tuple[bytes, bytes]],
) -> bytes:
    """Return the response that ends a connection with `problem`, and log it.

    `method`, `target` and `headers` are what is known of the request; each may be empty.
    """
    path = target.partition(b"?")[0].decode("latin-1")
    request_id = request_id_of(headers)
    response = render(problem, path if path.startswith("/") else "/", request_id)
    logger.info(
        "request not served",
        status=response.status,
        error=problem.code,
        detail=problem.detail,
        request_id=request_id,
    )
    count_unserved(response.status)
    fields = [
        *server_headers,
        *response.headers,
        (REQUEST_ID, request_id.encode()),
        *DEFAULT_HEADERS,
        (b"connection", b"close"),
    ]
    lines = [STATUS_LINE[response.status], *(b"%b: %b\r\n" % field for field in fields)]
    return b"".join((*lines, b"\r\n", b"" if method == b"HEAD" else response.body))


def close_unless_continued(cycle: RequestResponseCycle) -> None:
    """End the connection with a response that comes before "100 Continue".

    The client may then leave out the body that it announced, and what it sends next would be
    taken for that body (RFC 9110, section 10.1.1). Called before the request's task runs.
    """
    send = cycle.send

    async def send_and_close(message: ASGISendEvent) -> None:
        if cycle.waiting_for_100_continue:
            cycle.keep_alive = False
        await send(message)

    cycle.send = send_and_close  # type: ignore[method-assign]  # of this request only
