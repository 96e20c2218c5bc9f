"""The HTTP side: the routes of Mailpit's API, version 1, that GoTicket uses, and a page."""

import json
from importlib import resources

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from goticket_local.mailbox.store import Mail, MailStore

DEFAULT_LIMIT = 50
# Content of an e-mail must not run scripts and must not load anything from the network.
CONTENT_HEADERS = {
    "Content-Security-Policy": (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data: cid: 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
}
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; connect-src 'self'; frame-src 'self'; img-src data:; "
        "script-src 'unsafe-inline'; style-src 'unsafe-inline'"
    ),
}
PAGE = resources.files("goticket_local.mailbox").joinpath("page.html").read_text()


def create_app(store: MailStore) -> Starlette:
    """The page and the API of a store."""
    api = MailboxApi(store)
    message = "/api/v1/message/{mail_id}"
    return Starlette(
        routes=[
            Route("/api/v1/messages", api.list_messages, methods=["GET"]),
            Route("/api/v1/messages", api.delete_messages, methods=["DELETE"]),
            Route("/api/v1/search", api.search),
            Route(message, api.get_message),
            Route(f"{message}/headers", api.get_headers),
            Route(f"{message}/raw", api.get_raw),
            Route(f"{message}/part/{{part_id}}", api.get_part),
            Route("/view/{mail_id}.html", api.view_html),
            Route("/", _page),
            Route("/livez", _ok),
            Route("/readyz", _ok),
        ]
    )


class MailboxApi:
    """The endpoints."""

    def __init__(self, store: MailStore) -> None:
        self._store = store

    async def list_messages(self, request: Request) -> Response:
        """All e-mails, newest first."""
        start, limit = _window(request)
        return self._list(self._store.page(start, limit), start, len(self._store))

    async def search(self, request: Request) -> Response:
        """The e-mails that match `query`."""
        start, limit = _window(request)
        found = self._store.search(request.query_params.get("query", ""))
        return self._list(found[start : start + limit], start, len(found))

    async def delete_messages(self, request: Request) -> Response:
        """Delete the e-mails in `IDs`, or all."""
        body = await request.body()
        self._store.delete(json.loads(body).get("IDs", []) if body else [])
        return PlainTextResponse("ok")

    async def get_message(self, request: Request) -> Response:
        """One e-mail, which is marked as read."""
        mail = self._mail(request)
        mail.read = True
        return JSONResponse(mail.details())

    async def get_headers(self, request: Request) -> Response:
        """The headers of one e-mail."""
        return JSONResponse(self._mail(request).parsed.headers)

    async def get_raw(self, request: Request) -> Response:
        """The bytes of one e-mail."""
        return Response(self._mail(request).raw, media_type="text/plain", headers=CONTENT_HEADERS)

    async def get_part(self, request: Request) -> Response:
        """The content of one part."""
        for part in self._mail(request).parsed.parts:
            if part.id == request.path_params["part_id"]:
                return Response(part.content, media_type=part.content_type, headers=CONTENT_HEADERS)
        raise HTTPException(404, "no such part")

    async def view_html(self, request: Request) -> Response:
        """The HTML body, with its inline images."""
        parsed = self._mail(request).parsed
        body = parsed.html
        for part in parsed.inline:
            source = f"/api/v1/message/{request.path_params['mail_id']}/part/{part.id}"
            body = body.replace(f"cid:{part.content_id}", source)
        return HTMLResponse(body, headers=CONTENT_HEADERS)

    def _mail(self, request: Request) -> Mail:
        mail = self._store.get(request.path_params["mail_id"])
        if mail is None:
            raise HTTPException(404, "no such message")
        return mail

    def _list(self, mails: list[Mail], start: int, matching: int) -> Response:
        return JSONResponse(
            {
                "total": len(self._store),
                "unread": self._store.unread,
                "count": len(mails),
                "messages_count": matching,
                "start": start,
                "tags": [],
                "messages": [mail.summary() for mail in mails],
            }
        )


def _window(request: Request) -> tuple[int, int]:
    """The query parameters `start` and `limit`."""
    try:
        start = int(request.query_params.get("start", 0))
        limit = int(request.query_params.get("limit", DEFAULT_LIMIT))
    except ValueError:
        raise HTTPException(400, "start and limit are numbers") from None
    return max(start, 0), max(limit, 0)


async def _page(request: Request) -> Response:
    return HTMLResponse(PAGE, headers=PAGE_HEADERS)


async def _ok(request: Request) -> Response:
    return PlainTextResponse("ok")
