"""SQL migrations of the schema `catalog`."""

from goticket_platform.messaging.migrations import OUTBOX

INCLUDES = (OUTBOX,)
