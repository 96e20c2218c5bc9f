"""Migrations of the messaging tables, applied to the schema of each service that needs them.

A service names these packages in the `INCLUDES` of its own migrations package.
"""

from typing import Final

OUTBOX: Final = "goticket_platform.messaging.migrations.outbox"
"""For a service that publishes messages."""
INBOX: Final = "goticket_platform.messaging.migrations.inbox"
"""For a service that consumes messages."""
