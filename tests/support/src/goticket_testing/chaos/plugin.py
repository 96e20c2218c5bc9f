"""Prints seed and timeline of every chaos run in the end, passed or failed, from any worker."""

import pytest

REPORT = "chaos"
"""The property of a test's report that holds a run's."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the runs have left."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "call":
                _print(terminalreporter, dict(report.user_properties))


def _print(terminalreporter: pytest.TerminalReporter, properties: dict[str, object]) -> None:
    if REPORT in properties:
        terminalreporter.write_sep("-", "chaos")
        terminalreporter.write_line(str(properties[REPORT]))
