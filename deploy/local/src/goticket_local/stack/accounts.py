"""The demo accounts, created through the public API. Only the local stack has them."""

import contextlib
import http.client
import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

PASSWORD = "goticket-demo"  # noqa: S105 - published on purpose: the accounts are demo accounts
ADMIN = "admin@goticket.example"
ORGANIZER = "organizer@goticket.example"
BUYER = "buyer@goticket.example"
NAMES = {ORGANIZER: "Olivia Organizer", BUYER: "Bea Buyer"}


class UnexpectedResponse(Exception):
    """The gateway answered with a status that was not expected."""


@dataclass(frozen=True)
class ApiClient:
    """A client of the gateway's REST API."""

    base_url: str

    def request(
        self, method: str, path: str, body: object = None, token: str | None = None
    ) -> tuple[int, Any]:
        """Send a request; returns status and parsed body."""
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        payload = None if body is None else json.dumps(body)
        address = urlsplit(self.base_url).netloc
        with contextlib.closing(http.client.HTTPConnection(address, timeout=30)) as connection:
            connection.request(method, f"/api/v1{path}", payload, headers)
            response = connection.getresponse()
            text = response.read()
        return response.status, json.loads(text) if text else None

    def request_ok(
        self, method: str, path: str, body: object = None, token: str | None = None
    ) -> Any:
        """Send a request; returns the body. Raises `UnexpectedResponse` for status 400 or above."""
        status, response = self.request(method, path, body, token)
        if status >= HTTPStatus.BAD_REQUEST:
            raise UnexpectedResponse(f"{method} {path}: {status} {response}")
        return response

    def login(self, email: str, password: str = PASSWORD) -> str:
        """Log in; returns an access token."""
        response = self.request_ok("POST", "/auth/login", {"email": email, "password": password})
        token: str = response["accessToken"]
        return token


def ensure_accounts(base_url: str) -> None:
    """Create the demo accounts that do not exist. Raises `UnexpectedResponse`."""
    api = ApiClient(base_url)
    for email, name in NAMES.items():
        account = {"email": email, "password": PASSWORD, "name": name}
        status, response = api.request("POST", "/auth/register", account)
        if status not in {HTTPStatus.CREATED, HTTPStatus.CONFLICT}:
            raise UnexpectedResponse(f"POST /auth/register for {email}: {status} {response}")
    token = api.login(ADMIN)
    (organizer,) = api.request_ok("GET", f"/users?email={quote(ORGANIZER)}", token=token)["items"]
    if "organizer" not in organizer["roles"]:
        roles = {"roles": ["organizer"]}
        api.request_ok("PUT", f"/users/{organizer['id']}/roles", roles, token=token)
