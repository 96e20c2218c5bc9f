"""Every error has a code, a message for people, a gRPC status, and public field names."""

import inspect

import pytest
from booking.domain import errors
from booking.entrypoints.grpc_errors import ERRORS, with_public_fields
from goticket_kernel.errors import DomainError, FieldError, Forbidden

ERROR_CLASSES = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, DomainError) and kind is not DomainError
] + [Forbidden]


@pytest.mark.parametrize("kind", ERROR_CLASSES)
def test_an_error_has_a_code_message_status_and_field_names(kind: type[DomainError]) -> None:
    assert ERRORS.status_of(kind()) is not None
    assert "code" in vars(kind)
    assert str(kind()) == kind.__doc__


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in ERROR_CLASSES]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize(
    ("field", "only_quantity", "public"),
    [
        ("lines", False, "items"),
        ("lines[2].quantity", False, "items[2].quantity"),
        ("lines[0].quantity", True, "quantity"),
        ("lines[0].ticket_type_id", True, "items[0].ticketTypeId"),
        ("idempotency_key", False, "Idempotency-Key"),
        ("actor.userId", False, "actor.userId"),
    ],
)
def test_fields_get_the_names_of_the_public_api(
    field: str, only_quantity: bool, public: str
) -> None:
    error = errors.InvalidBooking(fields=[FieldError(field, "Is wrong.")], metadata={"a": "b"})
    translated = with_public_fields(error, only_quantity=only_quantity)
    assert type(translated) is errors.InvalidBooking
    assert translated.fields == (FieldError(public, "Is wrong."),)
    assert (str(translated), translated.metadata) == (str(error), {"a": "b"})
