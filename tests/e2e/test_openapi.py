"""Schemathesis reads the OpenAPI document and throws what it allows, and what it forbids, at us."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from goticket_local.stack.accounts import ADMIN, PASSWORD
from goticket_testing.stack import RunningStack
from goticket_testing.world import event_body

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
]
EXAMPLES = 20
"""Random examples for each operation, beside those that cover its schema's corners."""


ROLES = "/api/v1/users/{user_id}/roles"
"""Left to a run of its own: it would take away the role that the others need."""
CONFIGURATION = """\
[checks.negative_data_rejection]
# 412: If-Match did not match, which is looked at first.
expected-statuses = [400, 401, 403, 404, 405, 409, 412, 413, 415, 422]
"""


@pytest.fixture
def client(stack: RunningStack) -> Iterator[httpx.Client]:
    """A client with the first admin's token."""
    with httpx.Client(base_url=stack.base_url, timeout=30) as client:
        login = client.post("/api/v1/auth/login", json={"email": ADMIN, "password": PASSWORD})
        client.headers["Authorization"] = f"Bearer {login.json()['accessToken']}"
        yield client


@pytest.fixture
def known(client: httpx.Client) -> dict[str, str]:
    """Ids that exist, by the name of the path parameter that takes them."""
    created = client.post("/api/v1/events", json=event_body())
    assert created.status_code == 201, created.text
    event = created.json()
    booking = client.post(f"/api/v1/events/{event['id']}/bookings", json={"quantity": 1}).json()
    return {
        "event_id": event["id"],
        "booking_id": booking["id"],
        "ticket_id": booking["tickets"][0]["id"],
        "user_id": client.get("/api/v1/users/me").json()["id"],
    }


@pytest.mark.timeout(900)
@pytest.mark.parametrize("ids", ["invented", "existing"])
def test_no_answer_is_undocumented_or_a_failure_of_ours(
    stack: RunningStack, client: httpx.Client, known: dict[str, str], tmp_path: Path, ids: str
) -> None:
    values = "".join(f'{name} = "{value}"\n' for name, value in known.items())
    parameters = f"[parameters]\n{values}" if ids == "existing" else ""
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION + parameters)
    run_schemathesis(stack, client, tmp_path, f"--exclude-path={ROLES}")


def test_nor_is_one_about_roles(stack: RunningStack, client: httpx.Client, tmp_path: Path) -> None:
    person = {"email": "fuzz-admin@people.example", "password": PASSWORD, "name": "Fuzz"}
    created = client.post("/api/v1/auth/register", json=person).json()
    granted = client.put(f"/api/v1/users/{created['id']}/roles", json={"roles": ["admin"]})
    assert granted.status_code == 200, granted.text
    token = client.post("/api/v1/auth/login", json=person).json()["accessToken"]
    client.headers["Authorization"] = f"Bearer {token}"
    configuration = f'{CONFIGURATION}[parameters]\nuser_id = "{created["id"]}"\n'
    (tmp_path / "schemathesis.toml").write_text(configuration)
    run_schemathesis(stack, client, tmp_path, f"--include-path={ROLES}")


def run_schemathesis(
    stack: RunningStack, client: httpx.Client, folder: Path, selection: str
) -> None:
    """Run the command with the configuration in `folder`; fail with its report."""
    finished = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"),
            "run",
            f"{stack.base_url}/openapi.json",
            f"--header=Authorization: {client.headers['Authorization']}",
            f"--checks={','.join(CHECKS)}",
            "--phases=examples,coverage,fuzzing",
            f"--max-examples={EXAMPLES}",
            selection,
            "--seed=1",
            "--no-color",
            "--continue-on-failure",
            "--suppress-health-check=all",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=800,
    )
    assert finished.returncode == 0, finished.stdout[-30_000:] + finished.stderr
