"""Runs a development tool: `python -m goticket_local.workspace new-service NAME|contracts|docs`."""

import argparse
import sys

from goticket_local.manifest import CHECKOUT, ManifestError, load_services
from goticket_local.workspace.contracts import update_workspace
from goticket_local.workspace.new_service import InvalidName, create_service
from goticket_local.workspace.proto_reference import proto_reference
from goticket_local.workspace.settings_reference import settings_reference

SETTINGS = CHECKOUT / "docs" / "settings.md"
PROTOS = CHECKOUT / "docs" / "reference" / "protos.md"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="goticket_local.workspace")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("new-service", help="create a service").add_argument("name")
    verbs.add_parser("contracts", help="write .importlinter and mypy's search path")
    verbs.add_parser("docs", help="write docs/settings.md and docs/reference/protos.md")
    arguments = parser.parse_args()
    try:
        match arguments.verb:
            case "new-service":
                _new_service(arguments.name)
            case "contracts":
                update_workspace(CHECKOUT)
            case "docs":
                SETTINGS.write_text(settings_reference(load_services()))
                PROTOS.parent.mkdir(exist_ok=True)
                PROTOS.write_text(proto_reference(CHECKOUT))
    except (InvalidName, ManifestError) as error:
        print(error, file=sys.stderr)
        sys.exit(1)


def _new_service(name: str) -> None:
    for path in create_service(CHECKOUT, name):
        print(path.relative_to(CHECKOUT))
    print(f"\nNext: make lint types, make test T=services/{name}, make up.")
    print("docs/howto/add-a-service.md explains service.toml.")


if __name__ == "__main__":
    main()
