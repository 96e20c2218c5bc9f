"""The protos explain themselves, and the committed stubs are what they generate."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

ROOT = Path(__file__).parents[2]
STUBS = ROOT / "libs" / "contracts" / "src" / "goticket"

# Field numbers in descriptor.proto: the steps of a path to a declaration.
FILE_PACKAGE, FILE_MESSAGES, FILE_ENUMS, FILE_SERVICES = 2, 4, 5, 6
MESSAGE_FIELDS, MESSAGE_MESSAGES, MESSAGE_ENUMS = 2, 3, 4
ENUM_VALUES, SERVICE_METHODS = 2, 2

Declaration = tuple[str, tuple[int, ...]]
"""A name and the path at which protoc keeps its comments."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[FileDescriptorProto]:
    """Our protos as protoc reads them, comments included."""
    protos = sorted(
        str(path.relative_to(ROOT)) for path in ROOT.glob("protos/goticket/*/v1/*.proto")
    )
    out = tmp_path_factory.mktemp("protos") / "goticket.binpb"
    subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc", "-Iprotos"),
            *("--include_source_info", f"--descriptor_set_out={out}", *protos),
        ],
        cwd=ROOT,
        check=True,
        timeout=60,
    )
    return list(FileDescriptorSet.FromString(out.read_bytes()).file)


def test_every_declaration_has_a_comment(files: list[FileDescriptorProto]) -> None:
    assert files
    silent = [
        f"{file.name}: {name}"
        for file in files
        for commented in [_commented(file)]
        for name, path in _declarations(file)
        if path not in commented
    ]
    assert silent == []


def test_a_package_is_named_like_its_folder_and_version(
    files: list[FileDescriptorProto],
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
    if message.options.map_entry:  # made by protoc for a map field, which has the comment
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
