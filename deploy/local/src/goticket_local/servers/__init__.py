"""Private, real servers: their own ports and data folders, on the loopback interface only."""

from goticket_local.servers.postgres import PostgresServer
from goticket_local.servers.rabbitmq import RabbitPorts, RabbitServer
from goticket_local.servers.redis import RedisServer

__all__ = ["PostgresServer", "RabbitPorts", "RabbitServer", "RedisServer"]
