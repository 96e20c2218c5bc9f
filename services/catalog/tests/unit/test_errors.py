"""Every error has a code, words for people, and a gRPC status."""

from collections.abc import Iterator

from catalog.domain.errors import DomainError
from catalog.entrypoints.grpc_errors import ERRORS


def every_error(base: type[DomainError] = DomainError) -> Iterator[type[DomainError]]:
    for kind in base.__subclasses__():
        yield kind
        yield from every_error(kind)


def test_every_error_has_a_code_words_and_a_status() -> None:
    kinds = list(every_error())
    assert kinds
    for kind in kinds:
        error = kind()
        assert str(error) == kind.__doc__
        assert error.code.isidentifier()
        assert ERRORS.status_of(error) is not None
