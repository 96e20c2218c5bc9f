"""Time and ids."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

Clock = Callable[[], datetime]
"""Returns the current time in UTC."""
NewId = Callable[[], UUID]
"""Returns a new unique id."""
