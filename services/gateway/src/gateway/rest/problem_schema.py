"""Problem details as JSON, for the document of the API; `problems.py` renders them."""

from typing import Literal

from pydantic import Field

from gateway.rest.schemas import Answer, Id


class FieldProblemOut(Answer):
    """The error of one field."""

    field: str = Field(examples=["ticketTypes[0].price"])
    message: str = Field(examples=["This field is required."])


class ProblemOut(Answer):
    """RFC 9457 problem details; `error` is the code to decide by, `detail` is for people.

    The last members are present where they are known and applicable.
    """

    type: str = Field(json_schema_extra={"format": "uri"})
    title: str
    status: int
    detail: str
    instance: str = Field(json_schema_extra={"format": "uri-reference"})
    success: Literal[False]
    message: str = Field(description="The same as detail.")
    error: str = Field(description="Stable code.", examples=["sold_out"])
    request_id: str
    errors: list[FieldProblemOut]
    # Factories, since the document would name a default: these are left out instead.
    ticket_type_id: Id = Field(default_factory=str, description="The ticket type it is about.")
    available: int = Field(default_factory=int, description="sold_out: how many of it are left.")
    limit: int = Field(default_factory=int, description="How many there may be at most.")
    taken: int = Field(
        default_factory=int,
        description="max_per_buyer_exceeded: how many the buyer has."
        " capacity_below_taken: how many are sold or held.",
    )
