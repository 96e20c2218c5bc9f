"""The text that `make up` prints at the end: addresses, accounts and a booking to try."""

from importlib import resources

from goticket_local.local import LocalSystem
from goticket_local.stack.accounts import ADMIN, BUYER, ORGANIZER, PASSWORD


def example_session(gateway: str, mailbox: str) -> str:
    """A shell session that books two tickets."""
    text = resources.files("goticket_local").joinpath("quickstart.sh").read_text()
    values = {
        "gateway": gateway,
        "mailbox": mailbox,
        "organizer": ORGANIZER,
        "buyer": BUYER,
        "password": PASSWORD,
    }
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text.strip()


def quickstart(local: LocalSystem) -> str:
    """The complete text."""
    ports = local.ports
    gateway, mailbox = local.stack.base_url, local.stack.mailbox.url
    addresses = [
        ("API", f"{gateway}/api/v1", ""),
        ("API documentation", f"{gateway}/docs", ""),
        ("Mailbox (every e-mail)", mailbox, f"SMTP on port {ports['smtp']}"),
        ("RabbitMQ", local.rabbitmq.management_url, "user goticket, password in secrets.json"),
        ("PostgreSQL", f"127.0.0.1:{ports['postgres']}", "database goticket"),
        ("Redis", f"127.0.0.1:{ports['redis']}", ""),
        ("Data, logs, secrets", str(local.folder), ""),
    ]
    accounts = [(ADMIN, "admin"), (ORGANIZER, "organizer"), (BUYER, "buyer")]
    lines = [
        "",
        *(f"  {name:23} {address:34} {note}".rstrip() for name, address, note in addresses),
        "",
        *(f"  {email:32} {role:10} password {PASSWORD}" for email, role in accounts),
        "",
        "Book two tickets (paste into bash):",
        "",
        example_session(gateway, mailbox),
        "",
        "make logs   make down   make reset",
    ]
    return "\n".join(lines)
