"""The check-in list as JSON."""

from collections.abc import Sequence

from pydantic import Field

from gateway.rest.bookings.schemas import TicketStatus
from gateway.rest.keys.router import PublicKey
from gateway.rest.schemas import Answer, Id


class CheckInTicketOut(Answer):
    """A ticket as devices at the door know it. It has no code."""

    id: Id
    ticket_type_id: Id
    holder_name: str = Field(examples=["Grace Hopper"])
    status: TicketStatus


class CheckInList(Answer):
    """The tickets of an event, or those that changed after `since`."""

    version: int = Field(
        examples=[4711], description="Send it as `since` to get only what has changed."
    )
    public_keys: Sequence[PublicKey] = Field(description="Keys that verify codes offline.")
    valid: Sequence[CheckInTicketOut] = Field(description="Valid and checked-in tickets.")
    void: Sequence[CheckInTicketOut] = Field(description="Tickets that are not accepted any more.")
