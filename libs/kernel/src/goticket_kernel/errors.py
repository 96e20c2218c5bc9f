"""The base of all domain errors. The docstring of a subclass is the message that people read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One invalid input field.

    `field` is a path of the domain's own names ("ticket_types[0].price"). Entry points
    translate it to the names of the public JSON.
    """

    field: str
    message: str


class DomainError(Exception):
    """The request is rejected.

    `code` is the stable machine code of the public API. `fields` lists invalid input fields.
    `metadata` has further details for the caller, such as how many tickets are available.
    """

    code: ClassVar[str] = "rejected"

    def __init__(
        self,
        message: str | None = None,
        *,
        fields: Sequence[FieldError] = (),
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message or type(self).__doc__)
        self.fields = tuple(fields)
        self.metadata = dict(metadata or {})


class Forbidden(DomainError):
    """You are not allowed to do this."""

    code = "forbidden"
