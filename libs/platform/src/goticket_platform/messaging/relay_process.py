"""The relay process of a service: pool, probes and relay."""

from goticket_platform.lifecycle import Stop
from goticket_platform.messaging.relay import RELAY_SETTINGS, Relay
from goticket_platform.ops import Health, serve_ops
from goticket_platform.postgres import open_pool

POOL_SIZE = 4
"""One connection listens, two relay; one measures the backlog and answers probes."""


async def run_relay(
    *, dsn: str, amqp_url: str, schema: str, source: str, metrics_listen: str, stop: Stop
) -> None:
    """Relay the outbox of `schema` until `stop`; `source` is the CloudEvents source."""
    health = Health()
    pool = await open_pool(dsn, max_size=POOL_SIZE, settings=RELAY_SETTINGS)
    try:
        relay = Relay(pool, amqp_url, schema, source)
        health.add_check("postgres", lambda: pool.execute("SELECT 1"))
        health.add_check("rabbitmq", relay.check)
        async with serve_ops(metrics_listen, health):
            health.ready = True
            await relay.run(stop)
            health.ready = False
    finally:
        await pool.close()
