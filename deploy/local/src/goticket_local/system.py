"""System packages the native servers need: installed where we may, named where we may not."""

import os
import shutil
import subprocess
import sys

from goticket_local import programs

# pg_trgm, unaccent and friends; a package of its own on older Debian and Ubuntu.
COMPANIONS = {"postgresql": ["postgresql-contrib"]}

# Debian starts a server as soon as it is installed. Ours bring their own ports and data, so a
# policy forbids that for the time of the installation. One that is already there is respected,
# and services that already run are not touched.
INSTALL = r"""
set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y --no-install-recommends "$@"
"""


class CannotInstall(Exception):
    """System packages are missing and cannot be installed from here."""


def ensure_packages() -> None:
    """Install what is missing. Raises `CannotInstall` with what to do instead."""
    missing = programs.missing_packages()
    if not missing:
        return
    packages = [each for name in missing for each in (name, *COMPANIONS.get(name, []))]
    if shutil.which("apt-get") is None:
        raise CannotInstall(
            "PostgreSQL (15 or newer), Redis (6 or newer) and RabbitMQ (3.10 or newer) are needed; "
            f"on Debian they are: {' '.join(packages)}"
        )
    by_hand = f"    sudo apt-get install --no-install-recommends {' '.join(packages)}"
    rights = _rights()
    if rights is None:
        raise CannotInstall(f"System packages are missing. Install them with:\n{by_hand}")
    print(f"Installing system packages: {' '.join(packages)}", file=sys.stderr)
    done = subprocess.run(
        [*rights, "/bin/sh", "-c", INSTALL, "sh", *packages],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 or programs.missing_packages():
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise CannotInstall(f"{tail}\nInstalling failed. Try by hand:\n{by_hand}")


def _rights() -> list[str] | None:
    """What to put before a command that needs root; None when we cannot become root."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if (
        sudo
        and subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return [sudo, "-n"]
    return None
