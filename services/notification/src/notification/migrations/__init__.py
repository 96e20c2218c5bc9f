"""SQL migrations of the schema `notification`."""

from goticket_platform.messaging.migrations import INBOX

INCLUDES = (INBOX,)
