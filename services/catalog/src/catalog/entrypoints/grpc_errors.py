"""The gRPC status of each of the catalog's errors."""

import grpc
from goticket_kernel.errors import Forbidden
from goticket_platform.rpc.errors import ErrorTable

from catalog.domain import errors

ERRORS = ErrorTable(
    domain="catalog.goticket",
    statuses={
        Forbidden: grpc.StatusCode.PERMISSION_DENIED,
        errors.ValidationFailed: grpc.StatusCode.INVALID_ARGUMENT,
        errors.EventNotFound: grpc.StatusCode.NOT_FOUND,
        errors.StaleVersion: grpc.StatusCode.ABORTED,
        errors.EventBusy: grpc.StatusCode.UNAVAILABLE,
        errors.EventIsCancelled: grpc.StatusCode.FAILED_PRECONDITION,
        errors.CapacityBelowTaken: grpc.StatusCode.FAILED_PRECONDITION,
        errors.BookingUnavailable: grpc.StatusCode.UNAVAILABLE,
    },
)
