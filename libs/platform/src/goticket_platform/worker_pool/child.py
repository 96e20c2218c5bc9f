"""A worker process: runs one pickled call after the other until its input ends.

    python -m goticket_platform.worker_pool.child NICENESS MODULE…

The input ends when the pool closes it or its process dies, so no worker outlives its pool. Signals
to the whole process group are ignored: the pool decides when a worker stops.
"""

import importlib
import os
import pickle
import signal
import sys

HEAD_BYTES = 4
"""A message is its length in this many bytes, then its bytes."""


def main(niceness: int, modules: list[str]) -> None:
    """Read calls from the standard input; write their outcomes to what was standard output."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    calls, outcomes = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a function prints is no outcome
    for module in modules:
        importlib.import_module(module)
    # Only now: on a busy machine the imports would take minutes.
    os.nice(niceness)
    while head := calls.read(HEAD_BYTES):
        content = _outcome(calls.read(int.from_bytes(head, "big")))
        outcomes.write(len(content).to_bytes(HEAD_BYTES, "big") + content)
        outcomes.flush()


def _outcome(content: bytes) -> bytes:
    """Return the pickled pair of result and exception of a pickled call."""
    try:
        function, arguments = pickle.loads(content)  # noqa: S301 - from the pool's own process
        return pickle.dumps((function(*arguments), None))
    except Exception as error:  # noqa: BLE001 - the caller handles it
        try:
            return pickle.dumps((None, error))
        except Exception:  # noqa: BLE001 - an exception that pickle does not take
            return pickle.dumps((None, RuntimeError(repr(error))))


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), sys.argv[2:])
    except BrokenPipeError:
        os._exit(0)  # the pool's process is gone, so no one reads the outcome
