"""The client suites: one folder per client with an executable `run`, each driven against a broker of its own.

A suite is a program in the client's own language. It finds its broker and its orders in the environment

    BOOTSTRAP   host:port of the broker
    CONTROL     URL of the control server: POST /restart, /stop and /start (see clients/control.py)
    PROFILE     short or full
    PREFIX      what its topics and groups begin with

and prints one JSON object per line: first the client and its version, then one per check.

    {"client": "franz-go", "version": "1.2.3"}
    {"check": "produce-zstd", "result": "pass", "seconds": 1.2, "detail": ""}

`run --build` only builds. Exit code 3 means that the toolchain is missing. See tests/README.md.

CHRONIK_PROFILE        short (default) or full
CHRONIK_SUITE_MINUTES  how long one suite may run, instead of the profile's limit
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from clients.control import ControlServer
from clients.deadline import Deadline
from clients.harness import PEER, REPOSITORY, Broker, die_with_parent

SUITES_FOLDER = REPOSITORY / "tests/clients"
RESULTS_FOLDER = REPOSITORY / "target/compatibility"
PROFILE = os.environ.get("CHRONIK_PROFILE", "short")

BUILD_DEADLINE_S = 900.0
RUN_DEADLINE_S = {"short": 300.0, "full": 900.0}
TOOLCHAIN_MISSING = 3
# How often the run looks whether the program ended, while it serves the control requests.
CONTROL_POLL_S = 0.1
CHECK_NAME = r"[a-z0-9][a-z0-9-]*"
PASS, FAIL, SKIP = "pass", "fail", "skip"

# What a suite of a client checks. Suites of tools have checks of other names instead.
CHECKS = (
    "create-topic",
    "produce-none",
    "produce-gzip",
    "produce-snappy",
    "produce-lz4",
    "produce-zstd",
    "round-trip",
    "consume-from-start",
    "consume-by-offset",
    "consume-by-time",
    "group-of-two",
    "group-resume-after-restart",
    "consumer-protocol",
    "admin-configs",
    "admin-partitions",
    "admin-delete-records",
    "admin-groups",
    "admin-offsets",
    "error-too-large",
    "error-unknown-topic",
    "error-bad-version",
    "error-fenced-member",
    "delete-and-recreate",
    "idempotent-producer",
    "transactions",
)

# Rebalances that take seconds by default take a moment here; a topic that nobody created does not exist.
BROKER_PROPERTIES = {
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "300",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "500",
}


class ToolchainMissing(Exception):
    """The suite cannot be built on this machine."""


@dataclass(frozen=True)
class Check:
    """What a suite reports about one check."""

    check: str
    result: str
    seconds: float
    detail: str


@dataclass
class Outcome:
    """One run of one suite."""

    suite: str
    client: str = ""
    version: str = ""
    profile: str = PROFILE
    seconds: float = 0.0
    # Why the run as a whole is no good; empty when the program ran to its end and kept to the form.
    problem: str = ""
    checks: list[Check] = field(default_factory=list)

    def of(self, check: str) -> Check | None:
        return next((one for one in self.checks if one.check == check), None)

    def of_a_client(self) -> bool:
        """Whether this is a client with the checks that all have, and not a tool with its own."""
        return any(one.check in CHECKS for one in self.checks)

    def count(self, result: str) -> int:
        return sum(one.result == result for one in self.checks)

    def save(self) -> None:
        """Writes <suite>.json."""
        path = results_folder() / f"{self.suite}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Outcome":
        found = json.loads(path.read_text())
        return cls(**found | {"checks": [Check(**one) for one in found["checks"]]})


def results_folder() -> Path:
    """Where results of this peer and profile lie. Full runs of Chronik, of which the page is made, lie on top."""
    folder = RESULTS_FOLDER if PEER == "chronik" else RESULTS_FOLDER / PEER
    return folder if PROFILE == "full" else folder / PROFILE


def forget(suite: str) -> None:
    """Removes what an earlier run saved, so that nobody takes it for the result of this one."""
    (results_folder() / f"{suite}.json").unlink(missing_ok=True)


def names() -> list[str]:
    """The suites there are, in order of their names."""
    return sorted(path.parent.name for path in SUITES_FOLDER.glob("*/run") if os.access(path, os.X_OK))


def build(suite: str) -> None:
    """Lets the suite fetch and build what it needs."""
    result = subprocess.run(
        [str(SUITES_FOLDER / suite / "run"), "--build"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=BUILD_DEADLINE_S,
    )
    if result.returncode == TOOLCHAIN_MISSING:
        raise ToolchainMissing(result.stdout.strip()[-2_000:])
    if result.returncode != 0:
        raise RuntimeError(f"{suite}/run --build ended with {result.returncode}:\n{result.stdout[-4_000:]}")


def run(suite: str, broker: Broker, folder: Path) -> Outcome:
    """Runs a built suite against a started broker. Call from the main thread, which serves the control requests."""
    outcome = Outcome(suite)
    prefix = f"{suite.replace('_', '-')}-{uuid.uuid4().hex[:6]}-"
    limit = float(os.environ.get("CHRONIK_SUITE_MINUTES", RUN_DEADLINE_S[PROFILE] / 60)) * 60
    began = time.monotonic()
    with ControlServer(broker) as control:
        environment = os.environ | {
            "BOOTSTRAP": broker.bootstrap,
            "CONTROL": control.url,
            "PROFILE": PROFILE,
            "PREFIX": prefix,
        }
        code = _run_program(suite, folder, environment, control, Deadline(limit))
    outcome.seconds = round(time.monotonic() - began, 1)

    report = (folder / "stdout").read_text(errors="replace")
    problems = _read_report(outcome, report, replace={prefix: "", broker.bootstrap: "BROKER"}) + control.failures
    if code is None:
        problems.append(f"no end after {limit:g} s")
    elif code != 0:
        problems.append(f"ended with {code}")
    elif not (outcome.client and outcome.version and outcome.checks):
        problems.append("it did not say which client it is, or checked nothing")
    if outcome.of_a_client():
        missing = [check for check in CHECKS if outcome.of(check) is None]
        outcome.checks += [Check(check, FAIL, 0.0, "not reported") for check in missing]
    outcome.problem = "; ".join(problems)
    if problems:
        outcome.problem += f"; its last words:\n{_tail(folder / 'stderr')}"
    return outcome


def _run_program(
    suite: str, folder: Path, environment: dict[str, str], control: ControlServer, deadline: Deadline
) -> int | None:
    """The exit code, None for a program that had to be killed."""
    with (folder / "stdout").open("wb") as stdout, (folder / "stderr").open("wb") as stderr:
        program = subprocess.Popen(
            [str(SUITES_FOLDER / suite / "run")],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    try:
        while program.poll() is None and not deadline.expired():
            control.serve_once(CONTROL_POLL_S)
        return program.poll()
    finally:
        # What the program started belongs to its process group and ends with it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
        program.wait()


def _read_report(outcome: Outcome, text: str, replace: dict[str, str]) -> list[str]:
    """Fills in what the program said; what is wrong with its report."""
    problems = []
    for line in text.splitlines():
        try:
            _read_line(outcome, json.loads(line), replace)
        except (ValueError, KeyError, TypeError) as error:
            problems.append(f"not a line of the report: {line[:300]!r} ({error!r})")
    return problems


def _read_line(outcome: Outcome, line: dict, replace: dict[str, str]) -> None:
    if "client" in line:
        outcome.client, outcome.version = str(line["client"]), str(line["version"])
        return
    check = Check(line["check"], line["result"], float(line["seconds"]), _stable(str(line.get("detail", "")), replace))
    if not re.fullmatch(CHECK_NAME, check.check) or check.result not in (PASS, FAIL, SKIP) or outcome.of(check.check):
        raise ValueError("no name of a check, unknown result, or reported twice")
    if check.result != PASS and not check.detail:
        raise ValueError("no reason")
    outcome.checks.append(check)


def _stable(detail: str, replace: dict[str, str]) -> str:
    """A reason without what differs from run to run: the names and the address of this one."""
    for text, instead in replace.items():
        detail = detail.replace(text, instead)
    detail = re.sub(r"\b127\.0\.0\.1:\d+|\blocalhost:\d+", "BROKER", detail)
    detail = re.sub(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "UUID", detail)
    return " ".join(detail.split())


def _tail(path: Path, lines: int = 30) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def saved() -> Iterator[Outcome]:
    """The results of earlier runs, one per suite that has one."""
    for name in names():
        path = results_folder() / f"{name}.json"
        if path.exists():
            yield Outcome.load(path)
