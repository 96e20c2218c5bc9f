"""The generated documents are current, and links between documents lead to files."""

import re
import subprocess
from pathlib import Path

import pytest
from goticket_local.manifest import load_services
from goticket_local.workspace.proto_reference import proto_reference
from goticket_local.workspace.settings_reference import settings_reference, settings_rows

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")
FILE = re.compile(r"`((?:services|libs|deploy|tests|protos|docs)/[\w./-]+\.\w+)`")
TEST = re.compile(r"`([\w/.-]+\.py)::(\w+)`")
DOCUMENTS = sorted(
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    ).stdout.split()
)


def test_the_settings_reference_is_current() -> None:
    text = settings_reference(load_services(ROOT))
    assert (ROOT / "docs" / "settings.md").read_text() == text, "run `make docs`"


def test_the_proto_reference_is_current() -> None:
    text = (ROOT / "docs" / "reference" / "protos.md").read_text()
    assert text == proto_reference(ROOT), "run `make docs`"


def test_every_required_setting_has_a_meaning() -> None:
    without = [
        name
        for service in load_services(ROOT)
        for name, row in settings_rows(service).items()
        if row.required and not row.description
    ]
    assert without == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_links_and_names_existing_files(document: Path) -> None:
    text = document.read_text()
    missing = [link for link in LINK.findall(text) if not (document.parent / link).exists()]
    missing += [name for name in FILE.findall(text) if not (ROOT / name).exists()]
    assert missing == []


def test_every_fault_has_a_test_that_exists() -> None:
    document = (ROOT / "docs" / "faults.md").read_text()
    rows = [line for line in document.splitlines() if line.startswith("| ") and "---" not in line]
    faults = [row for row in rows if not row.startswith("| fault |")]
    assert [row for row in faults if not TEST.search(row)] == []
    missing = [
        f"{file}::{name}"
        for file, name in TEST.findall(document)
        if f"def {name}(" not in (ROOT / file).read_text()
    ]
    assert missing == []
