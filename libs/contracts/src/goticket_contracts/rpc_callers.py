"""Which service may call which RPC, and which may name a user as the actor of a call."""

from collections.abc import Mapping
from typing import Final

GATEWAY: Final = "gateway"
CATALOG: Final = "catalog"
BOOKING: Final = "booking"
NOTIFICATION: Final = "notification"

USER_VOUCHERS: Final = frozenset({GATEWAY})
"""Services that verify users' tokens. Only their calls may have an actor."""

_BY_SERVICE: Final[Mapping[str, frozenset[str]]] = {
    "goticket.identity.v1.IdentityService": frozenset({GATEWAY}),
    "goticket.catalog.v1.CatalogService": frozenset({GATEWAY}),
    "goticket.booking.v1.BookingService": frozenset({GATEWAY}),
    "goticket.booking.v1.NotificationDataService": frozenset({NOTIFICATION}),
}
_BY_METHOD: Final[Mapping[str, frozenset[str]]] = {
    "/goticket.catalog.v1.CatalogService/BatchGetEvents": frozenset({GATEWAY, BOOKING}),
    "/goticket.booking.v1.BookingService/ShrinkCapacity": frozenset({CATALOG}),
}
"""Methods whose callers differ from those of their service."""


def allowed_callers(method: str) -> frozenset[str]:
    """Return the services that may call a method, such as "/package.Service/Method".

    A method that this module does not list has no callers.
    """
    service = method.strip("/").partition("/")[0]
    return _BY_METHOD.get(method) or _BY_SERVICE.get(service, frozenset())


def callers_of(service: str) -> frozenset[str]:
    """Return the services that may call any method of a service, such as "booking"."""
    return frozenset(
        caller
        for name, callers in [*_BY_SERVICE.items(), *_BY_METHOD.items()]
        if audience_of(name) == service
        for caller in callers
    )


def audience_of(method: str) -> str:
    """Return the service that serves a method: "booking" for goticket.booking.v1's."""
    return method.strip("/").split(".")[1]
