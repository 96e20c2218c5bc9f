"""Numbered SQL migrations, applied to the schema of one service.

A service ships its migrations as a package, such as `booking.migrations`; the part before the
dot is the schema. Files are `NNNN_name.up.sql` and `NNNN_name.down.sql`, in which `{schema}`
stands for the schema. The package's `INCLUDES` names packages of shared migrations, such as the
outbox's, that are applied to the same schema before its own.

Each migration runs in a transaction of its own together with its row in
`<schema>.schema_migrations`. A file with the line `-- transaction: none` builds one index
CONCURRENTLY instead. An advisory lock lets several replicas start at once.
"""

from goticket_platform.migrations.files import Migration, MigrationError, load_migrations
from goticket_platform.migrations.runner import migrate_down, migrate_up, migration_status

__all__ = [
    "Migration",
    "MigrationError",
    "load_migrations",
    "migrate_down",
    "migrate_up",
    "migration_status",
]
