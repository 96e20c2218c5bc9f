"""Every refusal has a code, a message for people and a gRPC status."""

import inspect

import pytest
from booking.domain import errors
from booking.domain.errors import DomainError
from booking.entrypoints.grpc_errors import ERRORS

REFUSALS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, DomainError) and kind is not DomainError
]


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_refusal_is_complete(kind: type[DomainError]) -> None:
    assert ERRORS.status_of(kind()) is not None
    assert "code" in vars(kind)
    assert str(kind()) == kind.__doc__


def test_codes_are_told_apart() -> None:
    codes = [kind.code for kind in REFUSALS]
    assert len(set(codes)) == len(codes)
