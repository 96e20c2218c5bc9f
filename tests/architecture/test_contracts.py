"""Every declaration in the protos has a comment, and the committed stubs are current."""

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
)
from goticket_local.workspace.proto_reference import (
    ENUM_VALUES,
    FILE_ENUMS,
    FILE_MESSAGES,
    FILE_PACKAGE,
    FILE_SERVICES,
    MESSAGE_ENUMS,
    MESSAGE_FIELDS,
    MESSAGE_MESSAGES,
    SERVICE_METHODS,
    proto_files,
)

ROOT = Path(__file__).parents[2]
STUBS = ROOT / "libs" / "contracts" / "src" / "goticket"

Declaration = tuple[str, tuple[int, ...]]
"""A name and the path of its comments in protoc's output."""


@pytest.fixture(scope="module")
def files() -> Sequence[FileDescriptorProto]:
    """The protos as protoc parses them, comments included."""
    return proto_files(ROOT)


def test_every_declaration_has_a_comment(files: Sequence[FileDescriptorProto]) -> None:
    assert files
    without = [
        f"{file.name}: {name}"
        for file in files
        for commented in [_commented(file)]
        for name, path in _declarations(file)
        if path not in commented
    ]
    assert without == []


def test_a_package_is_named_like_its_folder_and_version(
    files: Sequence[FileDescriptorProto],
) -> None:
    assert [file.package for file in files] == [
        str(Path(file.name).parent).replace("/", ".") for file in files
    ]


def test_the_committed_stubs_are_generated_from_the_protos(tmp_path: Path) -> None:
    (tmp_path / "goticket").mkdir()
    subprocess.run(
        ["make", "--no-print-directory", "stubs", f"OUT={tmp_path}"],
        cwd=ROOT,
        check=True,
        timeout=120,
    )
    generated, committed = _contents(tmp_path / "goticket"), _contents(STUBS)
    assert generated.keys() == committed.keys(), "run `make proto`"
    stale = [name for name, content in generated.items() if committed[name] != content]
    assert stale == [], "run `make proto`"


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def _commented(file: FileDescriptorProto) -> set[tuple[int, ...]]:
    return {
        tuple(location.path)
        for location in file.source_code_info.location
        if (location.leading_comments or location.trailing_comments).strip()
    }


def _declarations(file: FileDescriptorProto) -> Iterator[Declaration]:
    yield "package", (FILE_PACKAGE,)
    for index, message in enumerate(file.message_type):
        yield from _of_message(message, message.name, (FILE_MESSAGES, index))
    for index, enum in enumerate(file.enum_type):
        yield from _of_enum(enum, enum.name, (FILE_ENUMS, index))
    for index, service in enumerate(file.service):
        yield service.name, (FILE_SERVICES, index)
        for number, method in enumerate(service.method):
            name = f"{service.name}.{method.name}"
            yield name, (FILE_SERVICES, index, SERVICE_METHODS, number)


def _of_message(
    message: DescriptorProto, name: str, path: tuple[int, ...]
) -> Iterator[Declaration]:
    if message.options.map_entry:  # protoc generates it for a map field, which has the comment
        return
    yield name, path
    for index, field in enumerate(message.field):
        yield f"{name}.{field.name}", (*path, MESSAGE_FIELDS, index)
    for index, nested in enumerate(message.nested_type):
        yield from _of_message(nested, f"{name}.{nested.name}", (*path, MESSAGE_MESSAGES, index))
    for index, enum in enumerate(message.enum_type):
        yield from _of_enum(enum, f"{name}.{enum.name}", (*path, MESSAGE_ENUMS, index))


def _of_enum(enum: EnumDescriptorProto, name: str, path: tuple[int, ...]) -> Iterator[Declaration]:
    yield name, path
    for index, value in enumerate(enum.value):
        yield f"{name}.{value.name}", (*path, ENUM_VALUES, index)
