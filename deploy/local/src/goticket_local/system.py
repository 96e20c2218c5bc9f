"""Installs the system packages of the native servers, or names them without permission."""

import os
import shutil
import subprocess
import sys

from goticket_local import programs

# pg_trgm, unaccent and friends; a package of its own on older Debian and Ubuntu.
COMPANIONS = {"postgresql": ["postgresql-contrib"]}

# Debian starts a server when its package is installed. GoTicket uses its own ports and data,
# so a policy forbids the start during the installation. An existing policy is kept, and
# running services are not changed.
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
    """System packages are missing and cannot be installed without more permissions."""


def ensure_packages() -> None:
    """Install missing packages. Raises `CannotInstall` with the command to run instead."""
    missing = programs.missing_packages()
    if not missing:
        return
    packages = [each for name in missing for each in (name, *COMPANIONS.get(name, []))]
    if shutil.which("apt-get") is None:
        raise CannotInstall(
            "PostgreSQL (15 or newer), Redis (6 or newer) and RabbitMQ (3.10 or newer) are needed; "
            f"on Debian they are: {' '.join(packages)}"
        )
    command = f"    sudo apt-get install --no-install-recommends {' '.join(packages)}"
    prefix = _root_prefix()
    if prefix is None:
        raise CannotInstall(f"System packages are missing. Install them with:\n{command}")
    print(f"Installing system packages: {' '.join(packages)}", file=sys.stderr)
    done = subprocess.run(
        [*prefix, "/bin/sh", "-c", INSTALL, "sh", *packages],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 or programs.missing_packages():
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise CannotInstall(f"{tail}\nThe installation failed. Run it yourself:\n{command}")


def _root_prefix() -> list[str] | None:
    """The words before a command that needs root; None without root permissions."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if (
        sudo
        and subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return [sudo, "-n"]
    return None
