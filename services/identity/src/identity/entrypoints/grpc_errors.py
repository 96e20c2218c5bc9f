"""The gRPC status of each of identity's errors."""

from goticket_kernel.errors import Forbidden
from goticket_platform.rpc.errors import ErrorTable
from grpc import StatusCode

from identity.domain.errors import (
    Busy,
    EmailTaken,
    InvalidAccount,
    InvalidCredentials,
    LastAdmin,
    SessionExpired,
    SessionStoreUnavailable,
    UserNotFound,
)

ERRORS = ErrorTable(
    domain="identity.goticket",
    statuses={
        InvalidAccount: StatusCode.INVALID_ARGUMENT,
        EmailTaken: StatusCode.ALREADY_EXISTS,
        InvalidCredentials: StatusCode.UNAUTHENTICATED,
        SessionExpired: StatusCode.UNAUTHENTICATED,
        UserNotFound: StatusCode.NOT_FOUND,
        Forbidden: StatusCode.PERMISSION_DENIED,
        LastAdmin: StatusCode.FAILED_PRECONDITION,
        Busy: StatusCode.UNAVAILABLE,
        SessionStoreUnavailable: StatusCode.UNAVAILABLE,
    },
)
