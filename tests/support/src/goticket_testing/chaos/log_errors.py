"""Counts the errors in the logs of the processes."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

MAX_LENGTH = 200
"""Characters of an error that are shown."""
UNCAUGHT = re.compile(r"Traceback|[A-Za-z_.]+(Error|Exception|Interrupt)\b")


def log_errors(logs: Iterable[Path]) -> list[str]:
    """Return each distinct error with its count and its process, the most frequent first."""
    counts: Counter[str] = Counter()
    for log in logs:
        if log.exists():
            lines = log.read_text(errors="replace").splitlines()
            counts.update(f"{log.stem}: {text}" for line in lines if (text := _error(line)))
    return [f"{count} x {text}" for text, count in counts.most_common()]


def _error(line: str) -> str | None:
    """Return the error of a log line; None if the line is no error."""
    try:
        entry = json.loads(line)
    except ValueError:
        # The interpreter writes plain text when a process ends with an exception.
        return line[:MAX_LENGTH] if UNCAUGHT.match(line) else None
    if not isinstance(entry, dict) or entry.get("level") not in ("error", "critical"):
        return None
    exception = str(entry.get("exception", "")).strip().rpartition("\n")[2]
    reason = str(entry.get("reason", ""))
    return f"{entry.get('event', '')}: {exception or reason}"[:MAX_LENGTH]
