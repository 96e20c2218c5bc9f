"""Ends what a session started when the session itself could not: also after its kill -9.

Reads its standard input, whose other end only the session holds. At the end of
it (whatever ended the session), everything with a pid file below the folder is
killed and the folder removed.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from goticket_local.process import Process


def attach(folder: Path) -> subprocess.Popen[bytes]:
    """Start a reaper for what runs out of a folder; closing its `stdin` sets it off."""
    return subprocess.Popen(
        [sys.executable, "-m", "goticket_local.reaper", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # an interrupt from the terminal is not for it
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
