"""What the processes themselves complained about: errors in their logs, counted."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

LONGEST = 200
DEATH = re.compile(r"Traceback|[A-Za-z_.]+(Error|Exception|Interrupt)\b")


def complaints(logs: Iterable[Path]) -> list[str]:
    """Return each kind of error that the logs hold, with how often and where."""
    counts: Counter[str] = Counter()
    for log in logs:
        if log.exists():
            lines = log.read_text(errors="replace").splitlines()
            counts.update(f"{log.stem}: {text}" for line in lines if (text := _error(line)))
    return [f"{count} x {text}" for text, count in counts.most_common()]


def _error(line: str) -> str | None:
    """Say what a log line complains about; None for lines that are no errors."""
    try:
        entry = json.loads(line)
    except ValueError:
        # Not ours: what the interpreter says when a process dies of an exception.
        return line[:LONGEST] if DEATH.match(line) else None
    if not isinstance(entry, dict) or entry.get("level") not in ("error", "critical"):
        return None
    exception = str(entry.get("exception", "")).strip().rpartition("\n")[2]
    reason = str(entry.get("reason", ""))
    return f"{entry.get('event', '')}: {exception or reason}"[:LONGEST]
