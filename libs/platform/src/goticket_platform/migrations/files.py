"""Reads the migration files of a package and checks them against the rules."""

import hashlib
import importlib
import re
from dataclasses import dataclass
from importlib import resources

_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.up\.sql")
_SCHEMA = re.compile(r"[a-z][a-z0-9_]{0,40}")
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_NO_TRANSACTION = re.compile(r"^-- transaction: none$", re.MULTILINE)
_TABLE = r"(?:ONLY )?(?:\w+\.)?(?P<table>\w+)"
_CONCURRENT_INDEX = re.compile(
    rf"CREATE (?:UNIQUE )?INDEX CONCURRENTLY (?P<index>\w+) ON {_TABLE}\b[^;]*;?", re.IGNORECASE
)
_CONCURRENT_DROP = re.compile(r"DROP INDEX CONCURRENTLY IF EXISTS (?:\w+\.)?\w+;?", re.IGNORECASE)
_CREATED_TABLE = re.compile(rf"CREATE TABLE (?:IF NOT EXISTS )?{_TABLE}", re.IGNORECASE)
_PLAIN_INDEX = re.compile(
    rf"CREATE (?:UNIQUE )?INDEX (?:IF NOT EXISTS )?(?:\w+ )?ON {_TABLE}", re.IGNORECASE
)
_KEY_CONSTRAINT = re.compile(
    rf"ALTER TABLE (?:IF EXISTS )?{_TABLE} [^;]*?\bADD (?:CONSTRAINT \w+ )?"
    r"(?:UNIQUE|PRIMARY KEY)\b(?! USING INDEX)",
    re.IGNORECASE,
)


class MigrationError(Exception):
    """Migrations cannot run; the message has the reason and what to do."""


@dataclass(frozen=True)
class Migration:
    """One numbered step and its reversal.

    `component` is the package's own name: the schema for a service's migrations, "outbox" or
    "inbox" for shared ones. `label` is the name that commands print. `checksum` is the SHA-256
    of the up file with LF line endings. `index` is the index that the step builds CONCURRENTLY,
    outside of a transaction; None for every other step.
    """

    component: str
    version: int
    name: str
    label: str
    up: str
    down: str
    checksum: str
    index: str | None = None
    down_in_transaction: bool = True

    @property
    def key(self) -> tuple[str, int]:
        """Component and version, which identify the migration within a schema."""
        return self.component, self.version


def load_migrations(package: str) -> list[Migration]:
    """Read the migrations of a service's package, in order, after those that it includes.

    Raises:
        MigrationError: a number is missing or used twice, a down file is missing, a file
            violates a rule, or the package's first part is not a plain schema name.
    """
    schema = schema_of(package)
    included: tuple[str, ...] = getattr(importlib.import_module(package), "INCLUDES", ())
    migrations: list[Migration] = []
    for shared in included:
        migrations += _read_package(shared, schema, shared.rpartition(".")[2], prefixed=True)
    return migrations + _read_package(package, schema, schema, prefixed=False)


def schema_of(package: str) -> str:
    """Return the schema that a package of migrations belongs to.

    Raises:
        MigrationError: the package's first part is not a plain schema name.
    """
    schema = package.partition(".")[0]
    if not _SCHEMA.fullmatch(schema):
        raise MigrationError(f"{schema!r} is not a schema name")
    return schema


def _read_package(package: str, schema: str, component: str, *, prefixed: bool) -> list[Migration]:
    folder = resources.files(package)
    found: list[Migration] = []
    for file in folder.iterdir():
        if match := _FILE.fullmatch(file.name):
            down_file = folder.joinpath(file.name.replace(".up.sql", ".down.sql"))
            if not down_file.is_file():
                raise MigrationError(f"{file.name} has no down file")
            step = f"{match[1]}_{match[2]}"
            text = _normalized(file.read_bytes())
            # Not str.format: SQL may contain other braces.
            up = text.replace("{schema}", schema)
            down = _normalized(down_file.read_bytes()).replace("{schema}", schema)
            found.append(
                Migration(
                    component=component,
                    version=int(match[1]),
                    name=match[2],
                    label=f"{component}/{step}" if prefixed else step,
                    up=up,
                    down=down,
                    checksum=hashlib.sha256(text.encode()).hexdigest(),
                    index=_check_up(file.name, up),
                    down_in_transaction=_check_down(down_file.name, down),
                )
            )
    found.sort(key=lambda migration: migration.version)
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise MigrationError(f"{package}: versions must be 1, 2, 3, … without gaps")
    return found


def _normalized(content: bytes) -> str:
    """Decode a file; a checkout with CRLF line endings has the same checksum."""
    return content.decode().replace("\r\n", "\n")


def _check_up(file: str, text: str) -> str | None:
    """Return the index that the file builds CONCURRENTLY, or None for a plain migration.

    Raises:
        MigrationError: a step outside of a transaction is not one such statement, or a step in
            a transaction builds an index on a table with data, which blocks all its writers.
    """
    sql = _statements(text)
    if _NO_TRANSACTION.search(text):
        match = _CONCURRENT_INDEX.fullmatch(sql)
        if match is None:
            raise MigrationError(
                f"{file}: with '-- transaction: none' a file has exactly one statement: "
                "CREATE [UNIQUE] INDEX CONCURRENTLY name ON table …"
            )
        return match["index"].lower()
    if re.search(r"\bINDEX CONCURRENTLY\b", sql, re.IGNORECASE):
        raise MigrationError(f"{file}: CONCURRENTLY needs the line '-- transaction: none'")
    created = {match["table"].lower() for match in _CREATED_TABLE.finditer(sql)}
    for pattern in (_PLAIN_INDEX, _KEY_CONSTRAINT):
        for match in pattern.finditer(sql):
            if (table := match["table"].lower()) not in created:
                raise MigrationError(
                    f"{file}: an index on {table}, which exists before, blocks its writers; "
                    "build it CONCURRENTLY in a file of its own with the line "
                    "'-- transaction: none'"
                )
    return None


def _check_down(file: str, text: str) -> bool:
    """Return whether a down file runs in a transaction.

    Raises:
        MigrationError: a file outside of a transaction is not one repeatable statement.
    """
    if not _NO_TRANSACTION.search(text):
        return True
    if not _CONCURRENT_DROP.fullmatch(_statements(text)):
        raise MigrationError(
            f"{file}: with '-- transaction: none' a down file has exactly one statement: "
            "DROP INDEX CONCURRENTLY IF EXISTS schema.name"
        )
    return False


def _statements(text: str) -> str:
    """Return the SQL without comments, on one line."""
    return " ".join(_COMMENT.sub(" ", text).split())
