"""Password hashes by bcrypt, in a few threads behind a short queue.

bcrypt reads 72 bytes, and stops at a NUL. So it gets an HMAC of the password, as text: 64 bytes
for a password of any length. The key is the salt. Without it, hashes of another site without a
salt could be tried here without knowing their passwords.
"""

import asyncio
import base64
import hmac
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import bcrypt
from prometheus_client import Counter

from identity.domain.errors import Busy

ResultT = TypeVar("ResultT")

QUEUE_PER_CORE = 16
"""Passwords that may wait for each core. At cost 12 the last one waits about four seconds.
That is within a caller's deadline; a longer queue would hash passwords after their deadline."""

_SALT_BYTES = 29
"""Of a hash: its version, cost and salt, as `bcrypt.gensalt` returns them."""

REJECTED = Counter(
    "goticket_identity_passwords_rejected", "Passwords rejected because the queue was full"
)


class BcryptPasswordHasher:
    """bcrypt at a given cost (log2 of its rounds)."""

    def __init__(self, cost: int, cores: int | None = None) -> None:
        cores = cores or len(os.sched_getaffinity(0))
        self._cost = cost
        # bcrypt releases the interpreter lock while it works, so threads are enough.
        self._threads = ThreadPoolExecutor(cores, thread_name_prefix="bcrypt")
        self._max_pending = cores * (1 + QUEUE_PER_CORE)
        self._pending = 0
        # The hash of a random text, checked instead of the hash of an unknown address.
        salt = bcrypt.gensalt(cost)
        self._dummy_hash = bcrypt.hashpw(_secret(os.urandom(16).hex(), salt), salt)

    async def hash(self, password: str) -> str:
        """Hash a prepared password.

        Raises:
            Busy: the queue is full.
        """
        salt = bcrypt.gensalt(self._cost)
        secret = _secret(password, salt)
        return (await self._run_in_thread(bcrypt.hashpw, secret, salt)).decode()

    async def matches(self, password: str, password_hash: str | None) -> bool:
        """Check a prepared password against a hash; without a hash False, after the same time.

        Raises:
            Busy: the queue is full.
        """
        stored = password_hash.encode() if password_hash else self._dummy_hash
        secret = _secret(password, stored[:_SALT_BYTES])
        same = await self._run_in_thread(bcrypt.checkpw, secret, stored)
        return same and password_hash is not None

    def close(self) -> None:
        """Stop the threads; waiting passwords are dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run_in_thread(
        self, function: Callable[[bytes, bytes], ResultT], secret: bytes, salt: bytes
    ) -> ResultT:
        if self._pending >= self._max_pending:
            REJECTED.inc()
            raise Busy
        self._pending += 1
        loop = asyncio.get_running_loop()
        # When the caller disconnects, the cancellation also removes a future that has not begun.
        future = loop.run_in_executor(self._threads, function, secret, salt)
        future.add_done_callback(self._on_done)
        return await future

    def _on_done(self, _future: "asyncio.Future[ResultT]") -> None:
        self._pending -= 1


def _secret(password: str, salt: bytes) -> bytes:
    return base64.b64encode(hmac.digest(salt, password.encode(), "sha384"))
