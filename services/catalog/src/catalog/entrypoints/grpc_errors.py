"""Which gRPC status each of the catalog's errors gets."""

import grpc
from goticket_platform.rpc.errors import ErrorTable

from catalog.domain import errors

ERRORS = ErrorTable(
    domain="catalog.goticket",
    statuses={
        errors.ValidationFailed: grpc.StatusCode.INVALID_ARGUMENT,
        errors.EventNotFound: grpc.StatusCode.NOT_FOUND,
        errors.NotAllowed: grpc.StatusCode.PERMISSION_DENIED,
        errors.StaleVersion: grpc.StatusCode.ABORTED,
        errors.EventBusy: grpc.StatusCode.UNAVAILABLE,
        errors.EventIsCancelled: grpc.StatusCode.FAILED_PRECONDITION,
        errors.CapacityBelowTaken: grpc.StatusCode.FAILED_PRECONDITION,
        errors.BookingUnavailable: grpc.StatusCode.UNAVAILABLE,
    },
)
