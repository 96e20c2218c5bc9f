"""Texts of requests: every field of the document refuses invisible characters, in words.

The fields are read from the OpenAPI document, so that a new one cannot be forgotten.
"""

import copy
import itertools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from gateway.rest.schemas import MAX_CHARACTERS
from goticket_testing.scripted import ScriptedBackends

Json = dict[str, Any]
Path = tuple[str | int, ...]
Bearer = Callable[..., dict[str, str]]

UNSEEN = [
    "\u3164",  # Hangul filler
    "\uffa0",
    "\u115f",
    "\u200d",
    "\u0301",  # a combining mark alone
    "\ufe0f",  # a variation selector alone
    "\U000e0041",  # a tag
    "\u200e",  # a mark of direction alone
    "\u202ereversed\u202c",
    "\u2066never ended",
    "A\ue000",  # private use
    "A\u0378",  # unassigned
    "A\x00",
    "A\x1b[31m",
    "A\ud800",  # a lone surrogate
]
BLANK = ["", " ", "\u200b", "\u2800", "\u00a0\u3000", "\ufeff\u00ad\u2060"]
MACHINE_FIELDS = {
    "email",  # identity decides; see test_an_address_is_refused_in_words
    "password",  # identity prepares it; it is not shown
    "refreshToken",
    "currency",  # the catalog compares these with its lists
    "timezone",
    "id",  # of a ticket type
    "ticketTypeId",
    "cursor",
}
"""Texts that people do not see, or that must be one of a list. All others are texts with a rule."""


def resolved(schema: Json, document: Json) -> Json:
    """Follow a reference, and take the kind of an optional value."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return resolved(document["components"]["schemas"][name], document)
    kinds = [kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"]
    return resolved({**schema, **kinds[0], "anyOf": []}, document) if kinds else schema


def example(schema: Json, document: Json) -> Any:
    """Return a valid value with every field."""
    schema = resolved(schema, document)
    if schema.get("examples"):
        return schema["examples"][0]
    if "properties" in schema:
        return {name: example(field, document) for name, field in schema["properties"].items()}
    if "items" in schema:
        return [example(schema["items"], document)]
    if "enum" in schema:
        return schema["enum"][0]
    text = "2030-06-01T19:00:00Z" if schema.get("format") == "date-time" else "Text"
    return {"integer": int(schema.get("minimum", 1)), "boolean": True}.get(schema["type"], text)


def texts(schema: Json, document: Json, path: Path = ()) -> Iterator[tuple[Path, Json]]:
    """Yield the path and the schema of every free text in a schema."""
    schema = resolved(schema, document)
    if schema.get("type") == "object":
        for name, field in schema["properties"].items():
            yield from texts(field, document, (*path, name))
    elif schema.get("type") == "array":
        yield from texts(schema["items"], document, (*path, 0))
    elif schema.get("type") == "string" and not is_restricted(schema):
        yield path, schema


def is_restricted(schema: Json) -> bool:
    """Whether a text is one of a list, a time or an id."""
    return bool({"enum", "const"} & schema.keys()) or schema.get("format") in {"date-time", "uuid"}


def bodies(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Yield method, path and schema of every JSON body."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if "requestBody" in operation:
                content = operation["requestBody"]["content"]
                yield method.upper(), path, content["application/json"]["schema"]


def query_texts(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Yield path, name and schema of every free text in a query."""
    for path, item in document["paths"].items():
        for parameter in item.get("get", {}).get("parameters", ()):
            if parameter["in"] == "query":
                for _, schema in texts(parameter["schema"], document):
                    yield path, parameter["name"], schema


def name_of(path: Path) -> str:
    """Write a path as a field's name in a problem."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)[1:]


def with_value(body: Any, path: Path, value: object) -> Any:
    """Return a body with another value at a path."""
    changed = copy.deepcopy(body)
    inner = changed
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    return changed


def concrete(path: str) -> str:
    """Fill in the path's parameters."""
    return re.sub(r"{\w+}", "0197c0de-7a11-7b00-8a00-0000000000e1", path)


def test_every_text_has_a_rule_or_is_known_to_be_for_machines(app: FastAPI) -> None:
    document = app.openapi()
    fields = {
        (str(path[-1]), MAX_CHARACTERS in schema)
        for _, _, body in bodies(document)
        for path, schema in texts(body, document)
    }
    fields |= {(name, MAX_CHARACTERS in schema) for _, name, schema in query_texts(document)}
    ruled = {name for name, has_rule in fields if has_rule}
    assert {name for name, has_rule in fields if not has_rule} == MACHINE_FIELDS
    assert ruled == {"name", "description", "location", "q"}


async def test_no_text_that_people_see_has_invisible_characters(
    app: FastAPI, client: httpx.AsyncClient, bearer: Bearer, backends: ScriptedBackends
) -> None:
    document = app.openapi()
    tried = 0
    for method, address, schema in bodies(document):
        valid = example(schema, document)
        for path, field in texts(schema, document):
            if MAX_CHARACTERS not in field:
                continue
            required = field["minLength"] == 1
            for text in UNSEEN + (BLANK if required else []):
                body = with_value(valid, path, text)
                answer = await client.request(
                    method,
                    concrete(address),
                    content=surrogate_safe_json(body),
                    headers=bearer("admin") | {"Content-Type": "application/json"},
                )
                problem = answer.json()
                assert answer.status_code in {400, 422}, (method, address, path, text, problem)
                if answer.status_code == 422:
                    fields = [error["field"] for error in problem["errors"]]
                    assert fields == [name_of(path)], (method, address, text, problem)
                    assert_in_words(problem["errors"][0]["message"])
                tried += 1
    assert tried > 100
    assert set(backends.requests) == {"GetJwks"}  # for the caller's token


async def test_no_search_has_invisible_characters(
    app: FastAPI, client: httpx.AsyncClient, backends: ScriptedBackends
) -> None:
    document = app.openapi()
    searched = 0
    for address, name, schema in query_texts(document):
        if MAX_CHARACTERS in schema:
            for text in UNSEEN[:-1]:  # a query string cannot carry a surrogate
                answer = await client.get(concrete(address), params={name: text})
                (error,) = answer.json()["errors"]
                assert error["field"] == name
                assert_in_words(error["message"])
                searched += 1
    assert searched
    assert backends.was_not_called()


JUNK: list[object] = [None, True, 7, 1.5, 10**30, "junk", "x" * 50_000, [], [[]], {}, {"a": 1}]
JUNK_TEXTS = ["junk", "", "1e9", "2030-13-01T00:00:00Z", "x" * 2_000]


def junk_requests(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Yield requests with junk in one field each: method, address and arguments."""
    for method, address, schema in bodies(document):
        valid = example(schema, document)
        paths: list[Path] = [(name,) for name in valid]
        paths += [(name, 0, inner) for name in valid for inner in fields_of_entries(valid[name])]
        for path, junk in itertools.product(paths, JUNK):
            yield method, concrete(address), {"json": with_value(valid, path, junk)}
    for address, item in document["paths"].items():
        for parameter in item.get("get", {}).get("parameters", ()):
            for text in JUNK_TEXTS if parameter["in"] == "query" else ():
                yield "GET", concrete(address), {"params": {parameter["name"]: text}}


async def test_every_message_about_a_field_is_in_words(
    app: FastAPI, client: httpx.AsyncClient, bearer: Bearer
) -> None:
    messages: set[str] = set()
    for method, address, arguments in junk_requests(app.openapi()):
        answer = await client.request(method, address, headers=bearer("admin"), **arguments)
        if answer.status_code == 422:
            messages |= {error["message"] for error in answer.json()["errors"]}
    assert len(messages) > 10
    for message in messages:
        assert_in_words(message)


def fields_of_entries(value: object) -> list[str]:
    """Return the fields of a list's entries."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return list(value[0])
    return []


@pytest.mark.parametrize(
    "email", ["ada", "@goticket.example", "ada@", "", " ", "\u3164@goticket.example", "a@b\u202ec"]
)
async def test_an_address_is_refused_in_words(
    client: httpx.AsyncClient, backends: ScriptedBackends, email: str
) -> None:
    body = {"email": email, "password": "difference engine", "name": "Ada"}
    answer = await client.post("/api/v1/auth/register", json=body)
    (error,) = answer.json()["errors"]
    assert error["field"] == "email"
    assert_in_words(error["message"])
    assert backends.was_not_called()


def assert_in_words(message: str) -> None:
    """Check that a message is a sentence for people."""
    assert re.fullmatch(r"[A-Z][^^$\\{}<>]*\.", message), message
    terms = ("pattern", "regex", "dictionary", "string", "parse", "instance", "extract", "input")
    assert not any(term in message.lower() for term in terms), message


def surrogate_safe_json(body: Any) -> bytes:
    """Write JSON in ASCII, where a lone surrogate is an escape."""
    return json.dumps(body).encode()
