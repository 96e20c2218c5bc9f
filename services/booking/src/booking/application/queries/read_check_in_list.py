"""Reads the check-in list of an event: all its tickets, for the devices at the door."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from goticket_kernel.actor import Actor
from goticket_kernel.permissions import Permission

from booking.application.commands.provision_event import ProvisionEvent
from booking.application.ports import CheckInPosition, CheckInQueries, CheckInTicket
from booking.application.queries.find_managed_event import find_managed_event
from booking.domain.booking import TicketStatus


@dataclass(frozen=True, slots=True)
class CheckInPageQuery:
    """A page of the tickets in one status that changed after `after`, up to a version.

    `limit` is the page size. The tickets are in the order of their changes.
    """

    event_id: UUID
    status: TicketStatus
    after: CheckInPosition
    up_to: int
    limit: int


async def get_check_in_version(
    event_id: UUID, actor: Actor, *, queries: CheckInQueries, provision: ProvisionEvent
) -> int:
    """Return the version of an event's check-in list. It grows with every change of the list.

    Raises:
        EventNotFound, Forbidden, CatalogUnavailable: see `find_managed_event`.
    """
    await find_managed_event(
        event_id, actor, Permission.READ_CHECK_IN_LIST, queries=queries, provision=provision
    )
    return await queries.check_in_version(event_id)


async def list_check_in_tickets(
    page: CheckInPageQuery, actor: Actor, *, queries: CheckInQueries, provision: ProvisionEvent
) -> Sequence[CheckInTicket]:
    """Read a page of the check-in list.

    Pages up to one version are consistent without a transaction around them: a ticket that
    changes meanwhile gets a higher version. It is left out, and is in the next delta.

    Raises:
        EventNotFound, Forbidden, CatalogUnavailable: see `find_managed_event`.
    """
    await find_managed_event(
        page.event_id, actor, Permission.READ_CHECK_IN_LIST, queries=queries, provision=provision
    )
    return await queries.check_in_tickets(
        page.event_id, page.status, page.after, page.up_to, page.limit
    )
