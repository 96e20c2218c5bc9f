"""Committed texts use the field's terms: none of the metaphors that the glossary replaced."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHECKED = ("*.py", "*.sql", "*.proto", "*.toml", "*.md", "*.lua", "*.js", "*.j2", "Makefile")
# CONTRIBUTING.md quotes bad examples, and this file lists the words.
EXCEPTED = {"CONTRIBUTING.md", "tests/architecture/test_vocabulary.py"}

METAPHORS = re.compile(
    r"""(?<![a-zA-Z])(?:
        part(?:y|ies) | aboard | boarding | passengers? | trips? | lanes? | crowds?
        | desks? | wish(?:es)? | patience | saboteurs? | deeds? | witness(?:es)? | lonely
        | yardsticks? | furniture | poison(?:ed)? | coalescers? | coalescing | letterheads?
        | box_?office | glance | whoever | verdicts? | deserters? | complaints? | clamped
        | reckon(?:s|ed|ing)? | ledgers? | typefaces? | hang_?up | wiring | somebody
        | nobody(?!["@'])
    )(?![a-zA-Z])""",
    re.IGNORECASE | re.VERBOSE,
)
# Names of the first version, each of which the glossary or a library replaced.
OLD_NAMES = re.compile(
    r"""(?<![a-zA-Z])(?:
        BookingDesk | OneByOne | TryLater | RunningKeys | ALONG_INDEXES | DATABASE_AWAY
        | look_after | early_returns(?:_held)? | judge | _move_on | tell_buyer | forget_keys
        | move_stock | hot_bookings | access_lines | refuse_at_a_glance | too_slow
        | rpc_server_(?:calls|seconds) | http_request_seconds | http_requests_over_bound
        | outbox_oldest_seconds | sessions_copied | notices_lost
    )(?![a-zA-Z])
    """,
    re.VERBOSE,
)
ALLOWED = re.compile(r"(?:first|third)[-_ ]party|round[-_ ]trips?", re.IGNORECASE)


def test_no_metaphor_of_the_old_vocabulary_is_back() -> None:
    listing = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *CHECKED],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    found = [
        f"{name}:{number}: {line.strip()}"
        for name in listing.stdout.splitlines()
        if name not in EXCEPTED and (ROOT / name).exists()
        for number, line in enumerate((ROOT / name).read_text().splitlines(), start=1)
        if METAPHORS.search(ALLOWED.sub("", line)) or OLD_NAMES.search(line)
    ]
    assert found == []
