"""The base of every domain error. A subclass's docstring is the message that people read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one input field, named as in the public JSON ("items[0].quantity")."""

    field: str
    message: str


class DomainError(Exception):
    """The request is refused.

    `code` is the stable machine code of the public API, `fields` the faults of single
    fields, `metadata` further facts for the caller, such as how many tickets are left.
    """

    code: ClassVar[str] = "refused"

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
