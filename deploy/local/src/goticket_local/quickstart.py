"""What `make up` says at the end: addresses, accounts, and a booking to try."""

from importlib import resources
from typing import TYPE_CHECKING

from goticket_local.stack.accounts import ADMIN, BUYER, ORGANIZER, PASSWORD

if TYPE_CHECKING:
    from goticket_local.local import LocalSystem


def session(gateway: str, inbox: str) -> str:
    """A shell session that books two tickets."""
    text = resources.files("goticket_local").joinpath("quickstart.sh").read_text()
    values = {
        "gateway": gateway,
        "inbox": inbox,
        "organizer": ORGANIZER,
        "buyer": BUYER,
        "password": PASSWORD,
    }
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text.strip()


def tour(local: "LocalSystem") -> str:
    """The whole text."""
    ports = local.ports
    gateway, inbox = local.stack.base_url, local.stack.inbox.url
    addresses = [
        ("API", f"{gateway}/api/v1", ""),
        ("API documentation", f"{gateway}/docs", ""),
        ("Inbox (every mail)", inbox, f"SMTP on port {ports.smtp}"),
        ("RabbitMQ", local.rabbitmq.management_url, "user goticket, password in secrets.json"),
        ("PostgreSQL", f"127.0.0.1:{ports.postgres}", "database goticket"),
        ("Redis", f"127.0.0.1:{ports.redis}", ""),
        ("Data, logs, secrets", str(local.folder), ""),
    ]
    accounts = [(ADMIN, "admin"), (ORGANIZER, "organizer"), (BUYER, "buyer")]
    lines = [
        "",
        *(f"  {name:20} {where:34} {note}".rstrip() for name, where, note in addresses),
        "",
        *(f"  {email:32} {role:10} password {PASSWORD}" for email, role in accounts),
        "",
        "A ticket, end to end (paste into bash):",
        "",
        session(gateway, inbox),
        "",
        "make logs   make down   make reset",
    ]
    return "\n".join(lines)
