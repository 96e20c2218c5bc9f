"""Schemathesis sends requests that the OpenAPI document allows or forbids and checks responses."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from goticket_local.stack.accounts import ADMIN, PASSWORD
from goticket_testing.clients import address_header, event_body
from goticket_testing.stack import RunningStack

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
"""Random examples per operation, in addition to the boundary cases of its schema."""


ROLES = "/api/v1/users/{user_id}/roles"
"""Tested separately, because it could remove the role that other operations need."""
CONFIGURATION = """\
[checks.negative_data_rejection]
# 412: If-Match is checked before the body. 414: a text may be longer than any address.
expected-statuses = [400, 401, 403, 404, 405, 409, 412, 413, 414, 415, 422, 429]
"""


@pytest.fixture
def client(stack: RunningStack) -> Iterator[httpx.Client]:
    """A client with the first admin's token."""
    # An address of its own: no other test uses up its limits, and it uses up none of theirs.
    address = address_header(uuid4().int)
    with httpx.Client(base_url=stack.base_url, timeout=30, headers=address) as client:
        login = client.post("/api/v1/auth/login", json={"email": ADMIN, "password": PASSWORD})
        client.headers["Authorization"] = f"Bearer {login.json()['accessToken']}"
        yield client


@pytest.fixture
def existing_ids(client: httpx.Client) -> dict[str, str]:
    """Existing ids by the name of their path parameter."""
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
@pytest.mark.parametrize("ids", ["random", "existing"])
def test_every_response_is_documented_and_no_server_error(
    stack: RunningStack,
    client: httpx.Client,
    existing_ids: dict[str, str],
    tmp_path: Path,
    ids: str,
) -> None:
    values = "".join(f'{name} = "{value}"\n' for name, value in existing_ids.items())
    parameters = f"[parameters]\n{values}" if ids == "existing" else ""
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION + parameters)
    run_schemathesis(stack, client, tmp_path, f"--exclude-path={ROLES}")


def test_every_response_about_roles_is_documented_and_no_server_error(
    stack: RunningStack, client: httpx.Client, tmp_path: Path
) -> None:
    account = {"email": "fuzz-admin@people.example", "password": PASSWORD, "name": "Fuzz"}
    created = client.post("/api/v1/auth/register", json=account).json()
    granted = client.put(f"/api/v1/users/{created['id']}/roles", json={"roles": ["admin"]})
    assert granted.status_code == 200, granted.text
    token = client.post("/api/v1/auth/login", json=account).json()["accessToken"]
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
            f"--header=X-Forwarded-For: {client.headers['X-Forwarded-For']}",
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
