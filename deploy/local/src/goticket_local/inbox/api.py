"""The HTTP side: Mailpit's API, version 1, and a page to read the mails."""

from importlib import resources
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from pydantic import BaseModel

from goticket_local.inbox.mailbox import Mail, Mailbox

# What a mail brings along must neither run nor reach out.
CONFINED = {
    "Content-Security-Policy": (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data: cid: 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
}
PAGE = {
    "Content-Security-Policy": (
        "default-src 'none'; connect-src 'self'; frame-src 'self'; img-src data:; "
        "script-src 'unsafe-inline'; style-src 'unsafe-inline'"
    ),
}

Start = Annotated[int, Query(ge=0)]
Limit = Annotated[int, Query(ge=0)]


class Selection(BaseModel):
    """Which mails a call is about; none named means all."""

    IDs: list[str] = []


def create_app(mailbox: Mailbox) -> FastAPI:
    """The page and the API over a mailbox."""
    app = FastAPI(title="GoTicket inbox", docs_url=None, redoc_url=None)
    _add_lists(app, mailbox)
    _add_message(app, mailbox)
    _add_pages(app, mailbox)
    return app


def _add_lists(app: FastAPI, mailbox: Mailbox) -> None:
    @app.get("/api/v1/messages")
    async def messages(start: Start = 0, limit: Limit = 50) -> JSONResponse:
        return _page(mailbox, mailbox.page(start, limit), start, len(mailbox))

    @app.get("/api/v1/search")
    async def search(query: str, start: Start = 0, limit: Limit = 50) -> JSONResponse:
        found = mailbox.search(query)
        return _page(mailbox, found[start : start + limit], start, len(found))

    @app.delete("/api/v1/messages")
    async def delete(selection: Selection | None = None) -> PlainTextResponse:
        mailbox.delete(selection.IDs if selection else [])
        return PlainTextResponse("ok")


def _add_message(app: FastAPI, mailbox: Mailbox) -> None:
    @app.get("/api/v1/message/{mail_id}")
    async def message(mail_id: str) -> dict[str, Any]:
        mail = _known(mailbox, mail_id)
        mail.read = True
        return mail.details()

    @app.get("/api/v1/message/{mail_id}/headers")
    async def headers(mail_id: str) -> dict[str, list[str]]:
        return _known(mailbox, mail_id).parsed.headers

    @app.get("/api/v1/message/{mail_id}/raw")
    async def raw(mail_id: str) -> Response:
        return Response(_known(mailbox, mail_id).raw, media_type="text/plain", headers=CONFINED)

    @app.get("/api/v1/message/{mail_id}/part/{part_id}")
    async def part(mail_id: str, part_id: str) -> Response:
        for each in _known(mailbox, mail_id).parsed.parts:
            if each.id == part_id:
                return Response(each.content, media_type=each.content_type, headers=CONFINED)
        raise HTTPException(404, "no such part")


def _add_pages(app: FastAPI, mailbox: Mailbox) -> None:
    page = resources.files("goticket_local.inbox").joinpath("page.html").read_text()

    @app.get("/")
    async def index() -> HTMLResponse:
        return HTMLResponse(page, headers=PAGE)

    @app.get("/view/{mail_id}.html")
    async def view(mail_id: str) -> HTMLResponse:
        parsed = _known(mailbox, mail_id).parsed
        body = parsed.html
        for part in parsed.inline:
            source = f"/api/v1/message/{mail_id}/part/{part.id}"
            body = body.replace(f"cid:{part.content_id}", source)
        return HTMLResponse(body, headers=CONFINED)

    @app.get("/livez")
    @app.get("/readyz")
    async def alive() -> PlainTextResponse:
        return PlainTextResponse("ok")


def _known(mailbox: Mailbox, mail_id: str) -> Mail:
    mail = mailbox.get(mail_id)
    if mail is None:
        raise HTTPException(404, "no such message")
    return mail


def _page(mailbox: Mailbox, mails: list[Mail], start: int, matching: int) -> JSONResponse:
    page = {
        "total": len(mailbox),
        "unread": mailbox.unread,
        "count": len(mails),
        "messages_count": matching,
        "start": start,
        "tags": [],
        "messages": [mail.summary() for mail in mails],
    }
    return JSONResponse(page)
