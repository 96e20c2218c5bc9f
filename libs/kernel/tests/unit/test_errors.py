"""The base of domain errors."""

from goticket_kernel.errors import DomainError, FieldError


class SeatTaken(DomainError):
    """The seat is taken."""

    code = "seat_taken"


def test_the_docstring_is_the_message_unless_another_is_given() -> None:
    assert str(SeatTaken()) == "The seat is taken."
    assert str(SeatTaken("Seat 4 is taken.")) == "Seat 4 is taken."


def test_fields_and_metadata_belong_to_one_error() -> None:
    error = SeatTaken(fields=[FieldError("seat", "Taken.")], metadata={"available": "3"})
    assert error.fields == (FieldError("seat", "Taken."),)
    assert error.metadata == {"available": "3"}
    assert SeatTaken().fields == ()
    assert SeatTaken().metadata == {}
