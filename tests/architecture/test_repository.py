"""Committed files name no index host; dependencies are pinned and listed by each package."""

import ast
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(
    path.parent.relative_to(ROOT)
    for pattern in ("libs/*", "services/*", "deploy/local", "tests/support")
    for path in ROOT.glob(f"{pattern}/pyproject.toml")
)
SERVICES = [package for package in PACKAGES if package.parts[0] == "services"]
LAYERED = [
    package for package in SERVICES if (ROOT / package / "src" / package.name / "domain").is_dir()
]

# In parts, because this file is committed too.
INDEX_HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pypi", "python", "org"),
        ("pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("registry", "yarnpkg", "com"),
        ("proxy", "golang", "org"),
        ("crates", "io"),
        ("rubygems", "org"),
    )
]

OWN_DISTRIBUTIONS = {"goticket": "goticket-contracts"}
"""Distributions of first-party packages whose name is not derived from the package's."""

USED_UNIMPORTED = {
    "fastapi-swagger": "ships Swagger UI 5 as files, which the gateway serves",
    "cryptography": "PyJWT signs and verifies EdDSA with it",
    "httptools": "uvicorn parses HTTP with it",
}
"""Distributions that are used without an import, and their purpose."""

PIN = re.compile(r"[A-Za-z0-9._-]+==[^\s;]+( ; .+)? \\")
HASH = re.compile(r" {4}--hash=sha256:[0-9a-f]{64}( \\)?")


def test_no_committed_file_names_a_package_index() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, timeout=30
    )
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    assert paths
    matches = [
        f"{path.relative_to(ROOT)}: {host}"
        for path in paths
        if path.is_file()  # not one deleted in the working tree
        for text in [path.read_bytes()]
        for host in INDEX_HOSTS
        if host.encode() in text
    ]
    assert matches == []


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-bootstrap.lock"])
def test_a_lock_has_exact_versions_with_hashes_only(name: str) -> None:
    lines = [
        line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")
    ]
    assert lines
    invalid = [line for line in lines if not PIN.fullmatch(line) and not HASH.fullmatch(line)]
    assert invalid == []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        # A pin is followed by its hashes; only the last hash of a pin has no backslash.
        assert line.endswith("\\") == bool(HASH.fullmatch(following)), line


def test_the_lock_pins_every_listed_dependency() -> None:
    pinned = {
        _normal(line.partition("==")[0])
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if "==" in line and not line.startswith(" ")
    }
    root = _project(Path())
    required = {name for package in PACKAGES for name in _listed(package)}
    required |= {_distribution(text) for text in root["dependency-groups"]["dev"]}
    assert {name for name in required - pinned if not name.startswith("goticket-")} == set()


@pytest.mark.parametrize("package", SERVICES, ids=str)
def test_a_service_lists_exactly_the_distributions_that_it_imports(package: Path) -> None:
    listed, imported = _listed(package), _imported(package)
    missing = {name: files for name, files in imported.items() if name not in listed}
    unused = listed - imported.keys() - USED_UNIMPORTED.keys()
    assert (missing, unused) == ({}, set())


@pytest.mark.parametrize("layers", [("domain",), ("application", "domain")], ids=" ".join)
@pytest.mark.parametrize("package", LAYERED, ids=str)
def test_the_inner_layers_import_only_the_standard_library_the_kernel_and_each_other(
    package: Path, layers: tuple[str, ...]
) -> None:
    allowed = ("goticket_kernel.", *(f"{package.name}.{layer}" for layer in layers))
    foreign = [
        f"{path.name}: {names[-1]}"
        for path in (ROOT / package / "src" / package.name / layers[0]).rglob("*.py")
        for names in _imports(ast.parse(path.read_text()))
        if names[-1].partition(".")[0] not in sys.stdlib_module_names
        and not names[0].startswith(allowed)
    ]
    assert foreign == []


def _project(package: Path) -> dict[str, dict[str, list[str]]]:
    project: dict[str, dict[str, list[str]]] = tomllib.loads(
        (ROOT / package / "pyproject.toml").read_text()
    )
    return project


def _listed(package: Path) -> set[str]:
    return {_distribution(text) for text in _project(package)["project"]["dependencies"]}


def _distribution(requirement: str) -> str:
    """Return the normalized name of "Name[extra]>=1; marker"."""
    return _normal(re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0])


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _imported(package: Path) -> dict[str, set[str]]:
    """Map each distribution that a package imports to the importing files."""
    own = _normal(_project(package)["project"]["name"])  # type: ignore[arg-type]  # a string here
    found: dict[str, set[str]] = defaultdict(set)
    for path in (ROOT / package / "src").rglob("*.py"):
        for names in _imports(ast.parse(path.read_text())):
            distribution = _owner(names)
            if distribution not in (own, None):
                found[str(distribution)].add(path.name)
    return found


def _imports(tree: ast.AST) -> Iterator[tuple[str, ...]]:
    """Yield the dotted names that an import can refer to, the longest first."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name,) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((f"{node.module}.{alias.name}", node.module) for alias in node.names)


def _owner(names: tuple[str, ...]) -> str | None:
    """Return the distribution that contains the module; None for the standard library."""
    top = names[-1].partition(".")[0]
    if top in sys.stdlib_module_names:
        return None
    for prefix in ("goticket", *(package.name for package in SERVICES)):
        if top == prefix or top.startswith(f"{prefix}_"):
            return OWN_DISTRIBUTIONS.get(top) or f"goticket-{top.removeprefix('goticket_')}"
    owners = [_modules()[name] for name in names if name in _modules()]
    assert owners, f"no installed distribution contains {names[-1]}"
    return owners[0]


@cache
def _modules() -> dict[str, str]:
    """Map every installed module to its distribution. Distributions may share a top-level name."""
    modules: dict[str, str] = {}
    for distribution in metadata.distributions():
        for file in distribution.files or ():
            if file.suffix in (".py", ".so"):
                parts = [*file.parts[:-1], file.name.partition(".")[0]]
                name = ".".join(part for part in parts if part != "__init__")
                modules.setdefault(name, _normal(distribution.metadata["Name"]))
    return modules
