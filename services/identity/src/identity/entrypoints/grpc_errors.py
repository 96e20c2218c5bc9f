"""Which gRPC status each refusal gets."""

from goticket_platform.rpc.errors import ErrorTable
from grpc import StatusCode

from identity.domain.errors import (
    Busy,
    EmailTaken,
    Forbidden,
    InvalidAccount,
    InvalidCredentials,
    LastAdmin,
    SessionExpired,
    Unavailable,
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
        Unavailable: StatusCode.UNAVAILABLE,
    },
)
