"""Ports of the loopback interface: free ones, and the holder of a busy one."""

import random
import socket
from itertools import islice

import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own

# Below the ephemeral range of outgoing connections: a stopped server finds its port free when
# it starts again.
CANDIDATES = range(20_000, 32_000)

_candidates = CANDIDATES


def use_share(index: int, count: int) -> None:
    """Restrict this process to the `index`-th of `count` equal shares of the candidates.

    Test workers choose ports at the same time. Without shares, one worker may choose a port
    on which another does not listen yet, or does not listen at the moment.
    """
    global _candidates  # noqa: PLW0603 - the share belongs to the process
    _candidates = CANDIDATES[index % count :: count]


def free_port() -> int:
    """A port that no process listens on now."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Several different free ports."""
    shuffled = random.SystemRandom().sample(_candidates, len(_candidates))
    return list(islice((port for port in shuffled if not is_busy(port)), count))


def is_busy(port: int) -> bool:
    """Whether listening on the port would fail."""
    with socket.socket() as probe:
        # Servers set it too. Without it, a port with connections in TIME_WAIT would look busy.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def listener(port: int) -> psutil.Process | None:
    """The process that listens on the port; None if it is not visible to this user."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return None
    for connection in connections:
        listens = connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
        if listens and connection.pid:
            try:
                return psutil.Process(connection.pid)
            except psutil.NoSuchProcess:
                return None
    return None


def describe_process(process: psutil.Process) -> str:
    """Name and pid of a process, for a message."""
    try:
        return f"{process.name()}, pid {process.pid}"
    except psutil.NoSuchProcess:
        return "a process that has just ended"
