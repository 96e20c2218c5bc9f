"""SQL migrations of the schema `booking`."""

from goticket_platform.messaging.migrations import INBOX, OUTBOX

INCLUDES = (OUTBOX, INBOX)
