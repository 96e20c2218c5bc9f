"""Every domain error has a message, a stable code, a gRPC status and an HTTP problem type."""

import importlib
import pkgutil
import re
from collections import defaultdict
from collections.abc import Iterator

import goticket_kernel.errors
import grpc
import pytest
from gateway.http.problems import KINDS
from goticket_platform.rpc.errors import ErrorTable

SERVICES = ("identity", "catalog", "booking")

HTTP_STATUSES = {
    grpc.StatusCode.INVALID_ARGUMENT: {422},
    grpc.StatusCode.UNAUTHENTICATED: {401},
    grpc.StatusCode.PERMISSION_DENIED: {403},
    grpc.StatusCode.NOT_FOUND: {404},
    grpc.StatusCode.ALREADY_EXISTS: {409},
    grpc.StatusCode.FAILED_PRECONDITION: {409, 422},
    grpc.StatusCode.ABORTED: {409, 412},
    grpc.StatusCode.RESOURCE_EXHAUSTED: {409, 429, 503},
    grpc.StatusCode.UNAVAILABLE: {503},
}
"""HTTP statuses with the same meaning as a gRPC status."""


def domain_errors(service: str) -> list[type[Exception]]:
    """Return every DomainError of a service and of the kernel, in any module of the service."""
    for package in (f"{service}.domain", f"{service}.application", f"{service}.adapters"):
        folder = importlib.import_module(package)
        for module in pkgutil.walk_packages(folder.__path__, f"{package}."):
            importlib.import_module(module.name)
    # By module, because the subclasses of all services and tests share one base.
    errors = [
        error
        for error in _subclasses(goticket_kernel.errors.DomainError)
        if error.__module__.partition(".")[0] in {service, "goticket_kernel"}
    ]
    return sorted(errors, key=lambda error: error.__name__)


def table(service: str) -> ErrorTable:
    """Return a service's table of gRPC statuses."""
    errors: ErrorTable = importlib.import_module(f"{service}.entrypoints.grpc_errors").ERRORS
    return errors


def code_of(error: type[Exception]) -> str:
    """Return the stable code of an error; "" when it has none."""
    code: str = getattr(error, "code", "")
    return code


def _subclasses(base: type[Exception]) -> Iterator[type[Exception]]:
    for error in base.__subclasses__():
        yield error
        yield from _subclasses(error)


def _status_of(service: str, error: type[Exception]) -> grpc.StatusCode | None:
    # Without a call of __init__, which may need arguments.
    return table(service).status_of(error.__new__(error))


ALL = [
    pytest.param(service, error, id=f"{service}.{error.__name__}")
    for service in SERVICES
    for error in domain_errors(service)
]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_names_itself_in_its_errors(service: str) -> None:
    assert table(service).domain == f"{service}.goticket"


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_errors_of_its_own_and_those_of_the_kernel(service: str) -> None:
    errors = domain_errors(service)
    assert goticket_kernel.errors.Forbidden in errors
    assert [error for error in errors if error.__module__.startswith(f"{service}.")]


@pytest.mark.parametrize("service", SERVICES)
def test_a_table_has_no_errors_outside_the_walk(service: str) -> None:
    # An error without the kernel's base would escape the other tests.
    assert set(table(service).statuses) <= set(domain_errors(service))


@pytest.mark.parametrize(("service", "error"), ALL)
def test_an_error_has_a_message_of_its_own_for_people(service: str, error: type[Exception]) -> None:
    text = vars(error).get("__doc__") or ""
    assert re.fullmatch(r"[A-Z].+\.", text), f"{service}: {text!r} is not a sentence"


@pytest.mark.parametrize(("service", "error"), ALL)
def test_an_error_has_a_stable_code(service: str, error: type[Exception]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", code_of(error)), f"{service}: {code_of(error)!r}"
    assert code_of(error) != "rejected", f"{service}: the error has only the code of its base"


@pytest.mark.parametrize(("service", "error"), ALL)
def test_an_error_has_a_grpc_status_and_an_http_problem_type_that_agree(
    service: str, error: type[Exception]
) -> None:
    status = _status_of(service, error)
    assert status is not None, f"{service}: not in entrypoints.grpc_errors"
    assert code_of(error) in KINDS, f"{service}: not in the gateway's problem types"
    assert KINDS[code_of(error)].status in HTTP_STATUSES[status]


@pytest.mark.parametrize("service", SERVICES)
def test_one_code_has_one_meaning_within_a_service(service: str) -> None:
    by_code = defaultdict(list)
    for error in domain_errors(service):
        by_code[code_of(error)].append(error)
    for code, errors in by_code.items():
        # Subclasses of one error may share its code, because they share its meaning.
        roots = [error for error in errors if not any(base in errors for base in error.__mro__[1:])]
        assert len(roots) == 1, f"{code} is the code of {roots}"


def test_one_code_has_one_grpc_status_in_all_services() -> None:
    statuses = defaultdict(set)
    for service in SERVICES:
        for error in domain_errors(service):
            statuses[code_of(error)].add(_status_of(service, error))
    assert {code: found for code, found in statuses.items() if len(found) > 1} == {}
