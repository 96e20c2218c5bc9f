"""The demo accounts, made through the public door. Only the local stack has them."""

import contextlib
import http.client
import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

PASSWORD = "goticket-demo"  # noqa: S105 - published on purpose: it opens nothing but a demo
ADMIN = "admin@goticket.example"
ORGANIZER = "organizer@goticket.example"
BUYER = "buyer@goticket.example"
NAMES = {ORGANIZER: "Olivia Organizer", BUYER: "Bea Buyer"}


class Refused(Exception):
    """The gateway gave an unexpected answer."""


@dataclass(frozen=True)
class Door:
    """The gateway's API."""

    base_url: str

    def call(
        self, method: str, path: str, body: object = None, token: str | None = None
    ) -> tuple[int, Any]:
        """Call it; returns status and parsed body."""
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        payload = None if body is None else json.dumps(body)
        where = urlsplit(self.base_url).netloc
        with contextlib.closing(http.client.HTTPConnection(where, timeout=30)) as connection:
            connection.request(method, f"/api/v1{path}", payload, headers)
            response = connection.getresponse()
            text = response.read()
        return response.status, json.loads(text) if text else None

    def expect(self, *call: Any, **more: Any) -> Any:
        """Call it; returns the body. Raises `Refused` for anything but success."""
        status, body = self.call(*call, **more)
        if status >= HTTPStatus.BAD_REQUEST:
            raise Refused(f"{call[0]} {call[1]}: {status} {body}")
        return body

    def login(self, email: str, password: str = PASSWORD) -> str:
        """An access token."""
        answer = self.expect("POST", "/auth/login", {"email": email, "password": password})
        token: str = answer["accessToken"]
        return token


def ensure_accounts(base_url: str) -> None:
    """Make what is missing of the demo accounts. Raises `Refused`."""
    door = Door(base_url)
    for email, name in NAMES.items():
        person = {"email": email, "password": PASSWORD, "name": name}
        status, answer = door.call("POST", "/auth/register", person)
        if status not in {HTTPStatus.CREATED, HTTPStatus.CONFLICT}:
            raise Refused(f"registering {email}: {status} {answer}")
    token = door.login(ADMIN)
    (organizer,) = door.expect("GET", f"/users?email={quote(ORGANIZER)}", token=token)["items"]
    if "organizer" not in organizer["roles"]:
        roles = {"roles": ["organizer"]}
        door.expect("PUT", f"/users/{organizer['id']}/roles", roles, token=token)
