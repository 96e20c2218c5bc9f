"""The check-in list of an event, for devices at the door."""

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from gateway.http.etags import matches_weakly
from gateway.http.openapi import problems
from gateway.rest.check_in.schemas import CheckInList
from gateway.rest.check_in.streaming import CheckInRequest, check_in_list
from gateway.rest.dependencies import Booking, EventId, IfNoneMatch
from gateway.rest.keys.router import PublicKey, ticket_public_keys
from gateway.rest.schemas import MAX_INT64, QueryInteger
from gateway.security.authentication import CheckInListReader

router = APIRouter(prefix="/api/v1/events", tags=["check-in"])

PRIVATE = "private, no-cache"
"""The list has names of people: no shared cache, and each use is checked with If-None-Match."""

Since = Annotated[
    QueryInteger,
    Query(ge=0, le=MAX_INT64, description="`version` of the list that the device has; 0 for all."),
]
_ANSWER: dict[str, Any] = {
    "headers": {
        "ETag": {
            "description": "Identifies this answer, for If-None-Match.",
            "schema": {"type": "string"},
        }
    }
}


@router.get(
    "/{event_id}/check-in-list",
    summary="Read an event's check-in list",
    response_model=CheckInList,
    responses={
        200: _ANSWER,
        304: {**_ANSWER, "description": "The list is the one that If-None-Match names."},
        **problems("forbidden", "event_not_found"),
    },
)
async def get_check_in_list(
    caller: CheckInListReader,
    event_id: EventId,
    request: Request,
    booking: Booking,
    if_none_match: IfNoneMatch,
    since: Since = 0,
) -> Any:
    """All tickets without their codes, or those that changed after `since`; cheap to poll.

    Only the event's organizer or an admin. A ticket that changes while the answer is written
    is left out; it is in the answer to the next request with this answer's version.
    """
    version = await booking.check_in_version(caller.actor, event_id)
    keys = ticket_public_keys(await booking.ticket_keys())
    tag = _etag(version, keys)
    headers = {"ETag": tag, "Cache-Control": PRIVATE}
    if if_none_match is not None and matches_weakly(if_none_match, tag):
        return Response(status_code=304, headers=headers)
    # A version that this database has not reached, as after a restore, gets the whole list.
    known = since if since <= version else 0
    wanted = CheckInRequest(caller.actor, event_id, known, version)
    parts = check_in_list(booking, wanted, keys)
    if request.scope["http_version"] == "1.0":
        # It has no chunks (RFC 9112, section 6.1); without its length no list could be complete.
        content = b"".join([part async for part in parts])
        return Response(content, headers=headers, media_type="application/json")
    return StreamingResponse(parts, headers=headers, media_type="application/json")


def _etag(version: int, keys: Sequence[PublicKey]) -> str:
    digest = hashlib.sha256(",".join(key.kid for key in keys).encode()).hexdigest()[:16]
    return f'"{version}-{digest}"'
