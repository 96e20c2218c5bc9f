"""Password hashes by bcrypt, in a few threads with a short queue before them."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import bcrypt
from prometheus_client import Counter

from identity.domain.account_rules import PASSWORD_MAX_BYTES
from identity.domain.errors import Busy

ResultT = TypeVar("ResultT")

WAITING_PER_CORE = 16
"""Passwords in line for each core. At cost 12 the last one waits about four seconds,
which is inside a caller's deadline; more would be work for nobody."""

REFUSED = Counter("goticket_identity_passwords_refused", "Turned away: too many in line")


class BcryptPasswords:
    """bcrypt at a given cost (log2 of its rounds)."""

    def __init__(self, cost: int, cores: int | None = None) -> None:
        cores = cores or len(os.sched_getaffinity(0))
        self._cost = cost
        # bcrypt lets go of the interpreter lock while it works, so threads are enough.
        self._threads = ThreadPoolExecutor(cores, thread_name_prefix="bcrypt")
        self._limit = cores * (1 + WAITING_PER_CORE)
        self._pending = 0
        # Of nothing anybody knows; checked in place of the hash an unknown address lacks.
        self._nobody = bcrypt.hashpw(os.urandom(16).hex().encode(), bcrypt.gensalt(cost))

    async def hash(self, password: str) -> str:
        """Hash a password of at most 72 bytes."""
        salt = bcrypt.gensalt(self._cost)
        return (await self._in_thread(bcrypt.hashpw, password.encode(), salt)).decode()

    async def matches(self, password: str, password_hash: str | None) -> bool:
        """Check a password against a hash, or for as long against nobody's."""
        secret = password.encode()
        # bcrypt refuses what is too long; it has no hash, but gets its time all the same.
        fits = len(secret) <= PASSWORD_MAX_BYTES
        stored = password_hash.encode() if password_hash else self._nobody
        same = await self._in_thread(bcrypt.checkpw, secret[:PASSWORD_MAX_BYTES], stored)
        return same and fits and password_hash is not None

    def close(self) -> None:
        """End the threads; what is in line is dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(
        self, work: Callable[[bytes, bytes], ResultT], secret: bytes, salt: bytes
    ) -> ResultT:
        if self._pending >= self._limit:
            REFUSED.inc()
            raise Busy
        self._pending += 1
        loop = asyncio.get_running_loop()
        # A caller who goes away leaves the line: cancelling reaches what has not begun.
        future = loop.run_in_executor(self._threads, work, secret, salt)
        future.add_done_callback(self._leave)
        return await future

    def _leave(self, _future: "asyncio.Future[ResultT]") -> None:
        self._pending -= 1
