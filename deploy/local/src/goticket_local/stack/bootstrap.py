"""Roles and schemas of the services in a database."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from goticket_local.manifest import CHECKOUT, Service
from goticket_local.servers.postgres import psql_script

FOLDER = CHECKOUT / "deploy" / "postgres"


def bootstrap_script(
    services: Sequence[Service], passwords: Mapping[str, str], folder: Path = FOLDER
) -> str:
    """A psql script for a superuser: extensions, then role and schema of each service.

    `passwords` has the password of each role by the service's name. Running the script again
    changes only the passwords.
    """
    script = (folder / "extensions.sql").read_text()
    template = (folder / "service.sql").read_text()
    for service in services:
        if database := service.database:
            variables = {
                "schema": database.schema,
                "role": database.role,
                "password": passwords[service.name],
            }
            script += psql_script(template, variables)
    return script
