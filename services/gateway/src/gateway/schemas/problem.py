"""Problem details as JSON, for the document of the API; `problems.py` renders them."""

from typing import Literal

from pydantic import Field

from gateway.schemas.common import Answer


class FieldProblemOut(Answer):
    """What is wrong with one field."""

    field: str = Field(examples=["ticketTypes[0].price"])
    message: str = Field(examples=["This field is required."])


class ProblemOut(Answer):
    """RFC 9457 problem details; `error` is the code to decide by, `detail` is for people."""

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
