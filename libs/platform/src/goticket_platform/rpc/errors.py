"""Errors over gRPC, encoded and decoded: google.rpc.Status with ErrorInfo and BadRequest.

Source: https://google.aip.dev/193 (the reason in ErrorInfo is the stable code).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

DETAILS_KEY = "grpc-status-details-bin"

UNAVAILABLE = "unavailable"
DEADLINE_EXCEEDED = "deadline_exceeded"
INTERNAL = "internal"
CALL_REFUSED = "call_refused"
"""Code of a call whose assertion is missing or not valid: a wrong configuration or an attack."""
MALFORMED = "malformed"


@dataclass(frozen=True)
class ErrorTable:
    """The gRPC status of each of a service's errors.

    `domain` names the service in ErrorInfo, such as "booking.goticket". An error
    class that is not listed has the status of its nearest listed base class.
    """

    domain: str
    statuses: Mapping[type[Exception], grpc.StatusCode]

    def status_of(self, error: BaseException) -> grpc.StatusCode | None:
        """Return the status of `error`, or None when neither its class nor a base is listed."""
        for kind in type(error).__mro__:
            if kind in self.statuses:
                return self.statuses[kind]
        return None


class RemoteError(Exception):
    """A call to another service was rejected or failed.

    `code` is the stable reason ("sold_out"), `fields` pairs of field and message.
    """

    def __init__(
        self,
        status: grpc.StatusCode,
        code: str,
        message: str,
        fields: tuple[tuple[str, str], ...] = (),
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields
        self.metadata = dict(metadata or {})

    def copy(self) -> "RemoteError":
        """Return an equal error: one that several tasks raise would gather their tracebacks."""
        return RemoteError(self.status, self.code, self.message, self.fields, self.metadata)


def public_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata of an error with keys in lowerCamelCase, as ErrorInfo has them.

    Domains use snake_case ("ticket_type_id"); the public API uses camelCase.
    """
    return {_camel_case(name): value for name, value in metadata.items()}


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def rich_status(
    domain: str,
    status: grpc.StatusCode,
    code: str,
    message: str,
    *,
    fields: tuple[tuple[str, str], ...] = (),
    metadata: Mapping[str, str] | None = None,
) -> status_pb2.Status:
    """Build the google.rpc.Status with `code` and the field violations."""
    info = error_details_pb2.ErrorInfo(
        reason=code, domain=domain, metadata=public_metadata(metadata or {})
    )
    details = [_pack(info)]
    if fields:
        violations = [
            error_details_pb2.BadRequest.FieldViolation(field=field, description=text)
            for field, text in fields
        ]
        details.append(_pack(error_details_pb2.BadRequest(field_violations=violations)))
    number = code_pb2.Code.Value(status.name)
    return status_pb2.Status(code=number, message=message, details=details)


def remote_error(error: grpc.aio.AioRpcError) -> RemoteError:
    """Read the rich status of a failed call.

    Without one (no answer, or another kind of server) the code is the gRPC status in lower
    case, such as "unavailable" or "deadline_exceeded".
    """
    status = error.code()
    message = error.details() or ""
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            return _from_rich(status, message, status_pb2.Status.FromString(value))
    return RemoteError(status, status.name.lower(), message)


def _from_rich(status: grpc.StatusCode, message: str, rich: status_pb2.Status) -> RemoteError:
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in rich.details:
        if detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
        elif detail.Is(bad.DESCRIPTOR):
            detail.Unpack(bad)
    fields = tuple((item.field, item.description) for item in bad.field_violations)
    code = info.reason or status.name.lower()
    return RemoteError(status, code, message, fields, dict(info.metadata))


def _pack(message: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
