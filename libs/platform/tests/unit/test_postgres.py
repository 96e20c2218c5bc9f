"""Named queries and transient errors."""

from pathlib import Path

import asyncpg
import pytest
from goticket_platform.postgres import is_transient, load_queries


def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sql: str) -> str:
    folder = tmp_path / f"sqlpackage{abs(hash(sql))}"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "queries.sql").write_text(sql)
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder.name


def test_statements_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sql = "-- About.\n\n-- name: one\n-- What it does.\nSELECT 1;\n\n-- name: two\nSELECT 2;\n"
    queries = load_queries(package(tmp_path, monkeypatch, sql))
    assert dict(queries) == {"one": "-- What it does.\nSELECT 1;", "two": "SELECT 2;"}


@pytest.mark.parametrize("sql", ["SELECT 1;", "-- name: a\nSELECT 1;\n-- name: a\nSELECT 2;\n"])
def test_statements_without_a_unique_name_are_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    with pytest.raises(ValueError, match="a unique name"):
        load_queries(package(tmp_path, monkeypatch, sql))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionRefusedError(), True),
        (TimeoutError(), True),
        (asyncpg.CannotConnectNowError(), True),
        (asyncpg.LockNotAvailableError(), True),
        (asyncpg.InterfaceError("connection is closed"), True),
        (asyncpg.InternalClientError("cannot switch to state 15"), True),
        (asyncpg.DataError("bad argument"), False),
        (asyncpg.UniqueViolationError(), False),
        (ValueError(), False),
    ],
)
def test_transient_errors_are_recognized(error: Exception, expected: bool) -> None:
    assert is_transient(error) is expected
