"""Every refusal of every service reaches the outside with a text, a code and two statuses."""

import importlib
import pkgutil
import re
from collections import defaultdict
from collections.abc import Iterator

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
"""Which HTTP statuses say the same as a gRPC status."""


def refusals(service: str) -> list[type[Exception]]:
    """Return every subclass of a service's DomainError, wherever in the service it is defined."""
    for package in (f"{service}.domain", f"{service}.application", f"{service}.adapters"):
        folder = importlib.import_module(package)
        for module in pkgutil.walk_packages(folder.__path__, f"{package}."):
            importlib.import_module(module.name)
    base: type[Exception] = importlib.import_module(f"{service}.domain.errors").DomainError
    return sorted(_below(base), key=lambda kind: kind.__name__)


def table(service: str) -> ErrorTable:
    """Return a service's table of gRPC statuses."""
    errors: ErrorTable = importlib.import_module(f"{service}.entrypoints.grpc_errors").ERRORS
    return errors


def code_of(kind: type[Exception]) -> str:
    """Return the stable code of a refusal; "" when it has none."""
    code: str = getattr(kind, "code", "")
    return code


def _below(base: type[Exception]) -> Iterator[type[Exception]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _below(kind)


def _status_of(service: str, kind: type[Exception]) -> grpc.StatusCode | None:
    # Without calling it: some take arguments.
    return table(service).status_of(kind.__new__(kind))


ALL = [
    pytest.param(service, kind, id=f"{service}.{kind.__name__}")
    for service in SERVICES
    for kind in refusals(service)
]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_names_itself_in_its_errors(service: str) -> None:
    assert table(service).domain == f"{service}.goticket"
    assert refusals(service)


@pytest.mark.parametrize(("service", "kind"), ALL)
def test_a_refusal_has_a_sentence_of_its_own_for_people(
    service: str, kind: type[Exception]
) -> None:
    text = vars(kind).get("__doc__") or ""
    assert re.fullmatch(r"[A-Z].+\.", text), f"{service}: {text!r} is no sentence"


@pytest.mark.parametrize(("service", "kind"), ALL)
def test_a_refusal_has_a_stable_code(service: str, kind: type[Exception]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", code_of(kind)), f"{service}: {code_of(kind)!r}"
    assert code_of(kind) != "refused", f"{service}: the base's code says nothing"


@pytest.mark.parametrize(("service", "kind"), ALL)
def test_a_refusal_has_a_grpc_status_and_an_http_problem_that_agree(
    service: str, kind: type[Exception]
) -> None:
    status = _status_of(service, kind)
    assert status is not None, f"{service}: not in entrypoints.grpc_errors"
    assert code_of(kind) in KINDS, f"{service}: not in gateway.problems"
    assert KINDS[code_of(kind)].status in HTTP_STATUSES[status]


@pytest.mark.parametrize("service", SERVICES)
def test_one_code_has_one_meaning_within_a_service(service: str) -> None:
    by_code = defaultdict(list)
    for kind in refusals(service):
        by_code[code_of(kind)].append(kind)
    for code, kinds in by_code.items():
        # Refinements of one error may share its code, as they share its meaning.
        roots = [kind for kind in kinds if not any(base in kinds for base in kind.__mro__[1:])]
        assert len(roots) == 1, f"{code} is said by {roots}"


def test_one_code_has_one_grpc_status_in_all_services() -> None:
    statuses = defaultdict(set)
    for service in SERVICES:
        for kind in refusals(service):
            statuses[code_of(kind)].add(_status_of(service, kind))
    assert {code: found for code, found in statuses.items() if len(found) > 1} == {}
