"""SQL migrations of the schema `identity`."""

from goticket_platform.messaging.migrations import OUTBOX

INCLUDES = (OUTBOX,)
