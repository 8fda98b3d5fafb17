"""What the client suites found in this session, and how it is printed at the end."""

import pytest

from clients import suites
from clients.suites import Outcome

OUTCOMES: pytest.StashKey[dict[str, Outcome | str]] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[OUTCOMES] = {}


@pytest.fixture(scope="session")
def outcomes(pytestconfig: pytest.Config) -> dict[str, Outcome | str]:
    """What the suites that ran so far reported; a text says why one could not be built here."""
    return pytestconfig.stash[OUTCOMES]


def pytest_terminal_summary(terminalreporter) -> None:
    """One line per suite: its minutes, its counts and which client it was."""
    found = terminalreporter.config.stash.get(OUTCOMES, {})
    if not found:
        return
    terminalreporter.section(f"client suites, {suites.PROFILE} profile")
    for name, outcome in sorted(found.items()):
        if isinstance(outcome, str):
            terminalreporter.write_line(f"{name:28} not built: {outcome.splitlines()[-1]}")
            continue
        counts = ", ".join(f"{outcome.count(result)} {result}" for result in (suites.PASS, suites.FAIL, suites.SKIP))
        client = f"{outcome.client} {outcome.version}"
        terminalreporter.write_line(f"{name:28} {outcome.seconds / 60:5.1f} min  {counts:28}  {client}")
