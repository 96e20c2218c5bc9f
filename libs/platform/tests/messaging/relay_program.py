"""A relay in a process that a test kills. Its small batches leave some unpublished."""

import os

from goticket_platform.lifecycle import Stop, run
from goticket_platform.postgres import open_pool
from goticket_testing.messaging import make_relay


async def main(stop: Stop) -> None:
    """Relay until the stop."""
    pool = await open_pool(os.environ["TEST_DSN"])
    try:
        await make_relay(pool, os.environ["TEST_AMQP_URL"], batch=10).run(stop)
    finally:
        await pool.close()


if __name__ == "__main__":
    run(main)
