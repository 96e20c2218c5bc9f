"""Kills the processes of a session that has ended, also after kill -9 of the session.

The reaper reads its standard input; only the session holds the other end. When the input
ends, the reaper kills every process with a pid file below the folder and removes the folder.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from goticket_local.process import Process


def attach(folder: Path) -> subprocess.Popen[bytes]:
    """Start a reaper for the processes of a folder; it acts when its `stdin` is closed."""
    return subprocess.Popen(
        [sys.executable, "-m", "goticket_local.reaper", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # it must not receive an interrupt from the terminal
        cwd="/",
    )


def reap(folder: Path) -> None:
    """Kill every process with a pid file below the folder, then remove the folder."""
    for pid_file in folder.rglob("*.pid"):
        Process.at(pid_file).kill()
    shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Wait for the session to end, then reap."""
    folder = Path(sys.argv[1])
    sys.stdin.buffer.read()
    reap(folder)


if __name__ == "__main__":
    main()
