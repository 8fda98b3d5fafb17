"""Writes docs/compatibility.md from the results of the client suites: python -m clients.compatibility [--check]

With --check nothing is written: it fails when the committed page does not speak of exactly the suites there are.
"""

import re
import sys
from collections.abc import Iterable

from clients import suites
from clients.harness import REPOSITORY
from clients.suites import CHECKS, FAIL, PASS, SKIP, Outcome

PAGE = REPOSITORY / "docs/compatibility.md"
MARKS = {PASS: "yes", FAIL: "**no**", SKIP: "-"}
# A table of more columns than this is hard to read.
COLUMNS = 6

HEAD = """# Compatibility

<!-- Written by tests/run --stage clients --full. Do not edit. -->

Which clients and tools were run against Chronik, and what each of them did. Every suite is a program in the client's
own language in `tests/clients/<suite>`; it gets a broker process of its own with an empty data directory, which is
killed and restarted in between. The same programs run against Apache Kafka (`CHRONIK_PEER=kafka`), which shows that
they ask for Kafka's behaviour. *yes*: passed; **no**: failed; *-*: not run, for the reason given below.
"""


def render(outcomes: Iterable[Outcome]) -> str:
    """The page of these results."""
    found = sorted(outcomes, key=lambda one: one.suite)
    clients = [one for one in found if one.of_a_client()]
    parts = [HEAD, "## Summary\n", _summary(found)]
    if clients:
        parts.append("## Checks by client\n")
        parts += [_matrix(clients[first : first + COLUMNS]) for first in range(0, len(clients), COLUMNS)]
    parts += [_own_checks(one) for one in found if not one.of_a_client()]
    parts.append("## What failed or was not run, and why\n")
    parts += [_reasons(one) for one in found]
    return "\n".join(part for part in parts if part)


def suites_on_the_page(page: str) -> list[str]:
    """The suites of the page's summary."""
    return sorted(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))


def check(page: str) -> None:
    """Raises when the page does not speak of exactly the suites there are."""
    on_page, there = set(suites_on_the_page(page)), set(suites.names())
    if on_page != there:
        missing, gone = sorted(there - on_page), sorted(on_page - there)
        raise ValueError(f"{PAGE.name} lacks {missing} and has {gone} too many; run tests/run --stage clients --full")


def _summary(outcomes: list[Outcome]) -> str:
    rows = ["| Suite | Client | Version | Passed | Failed | Not run |", "| --- | --- | --- | --- | --- | --- |"]
    for one in outcomes:
        counts = " | ".join(str(one.count(result)) for result in (PASS, FAIL, SKIP))
        rows.append(f"| `{one.suite}` | {one.client} | {one.version} | {counts} |")
    return "\n".join(rows) + "\n"


def _matrix(outcomes: list[Outcome]) -> str:
    rows = [
        "| Check | " + " | ".join(f"{one.client} {one.version}" for one in outcomes) + " |",
        "| --- |" + " --- |" * len(outcomes),
    ]
    for name in CHECKS:
        results = (one.of(name) for one in outcomes)
        rows.append(f"| {name} | " + " | ".join(MARKS[one.result] if one else MARKS[FAIL] for one in results) + " |")
    return "\n".join(rows) + "\n"


def _own_checks(outcome: Outcome) -> str:
    rows = [f"## {outcome.client} {outcome.version}\n", "| Check | Result |", "| --- | --- |"]
    rows += [f"| {one.check} | {MARKS[one.result]} |" for one in outcome.checks]
    return "\n".join(rows) + "\n"


def _reasons(outcome: Outcome) -> str:
    lines = [f"- {one.check} (not run): {_text(one.detail)}" for one in outcome.checks if one.result == SKIP]
    lines += [f"- {one.check} (failed): {_text(one.detail)}" for one in outcome.checks if one.result == FAIL]
    if outcome.problem:
        lines.append(f"- the suite as a whole: {_text(outcome.problem.splitlines()[0])}")
    return "\n".join([f"### {outcome.suite}\n", *lines]) + "\n" if lines else ""


def _text(reason: str) -> str:
    """A reason as text of the page, where it must not become markup."""
    return re.sub(r"([<>|*_`\[\]])", r"\\\1", reason)


def main(arguments: list[str]) -> int:
    if arguments == ["--check"]:
        check(PAGE.read_text())
        return 0
    outcomes = list(suites.saved())
    missing = sorted(set(suites.names()) - {one.suite for one in outcomes})
    short = sorted(one.suite for one in outcomes if one.profile != "full")
    if arguments or missing or short:
        lacking = [*missing, *short]
        print(f"the page needs a full run of every suite; there is none of: {lacking}", file=sys.stderr)
        return 1
    PAGE.write_text(render(outcomes))
    print(f"wrote {PAGE.relative_to(REPOSITORY)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
