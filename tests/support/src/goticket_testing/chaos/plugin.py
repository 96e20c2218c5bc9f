"""Prints seed and timeline of every chaos run at the end of the session, from any worker."""

import pytest

REPORT = "chaos"
"""The user property of a test report that holds the report of a chaos run."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the reports of all runs, passed and failed."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "call":
                _print(terminalreporter, dict(report.user_properties))


def _print(terminalreporter: pytest.TerminalReporter, properties: dict[str, object]) -> None:
    if REPORT in properties:
        terminalreporter.write_sep("-", "chaos")
        terminalreporter.write_line(str(properties[REPORT]))
