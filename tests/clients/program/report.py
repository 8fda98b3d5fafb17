"""The report of a suite program: JSON lines on stdout, everything else on stderr."""

import json
import os
import signal
import sys
import time
import traceback
import urllib.request
from collections.abc import Callable, Iterable

CHECK_DEADLINE_S = 60
CONTROL_DEADLINE_S = 120
REASON_CHARACTERS = 600


class Skip(Exception):
    """The client cannot do this, or the broker is known not to offer it; the text says which."""


class Settings:
    """The orders of the runner."""

    bootstrap = os.environ.get("BOOTSTRAP", "127.0.0.1:9092")
    control = os.environ.get("CONTROL", "")
    prefix = os.environ.get("PREFIX", f"by-hand-{os.getpid()}-")
    kafka = os.environ.get("CHRONIK_PEER") == "kafka"
    full = os.environ.get("PROFILE", "short") == "full"


def restart_broker() -> None:
    """Has the broker killed and started again; returns when it is ready."""
    if not Settings.control:
        raise Skip("CONTROL is not set: nobody restarts the broker")
    request = urllib.request.Request(f"{Settings.control}/restart", data=b"", method="POST")
    with urllib.request.urlopen(request, timeout=CONTROL_DEADLINE_S):
        pass


def run_checks(client: str, version: str, checks: Iterable[tuple[str, Callable[[], None]]]) -> None:
    """Runs the checks, those named on the command line or all, each under a deadline, and reports every one."""
    report = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    # A library that prints must not spoil the report.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    signal.signal(signal.SIGALRM, _expired)
    _say(report, {"client": client, "version": version})
    wanted = sys.argv[1:]
    for name, check in checks:
        if wanted and name not in wanted:
            continue
        print(f"==> {name}", file=sys.stderr, flush=True)
        began = time.monotonic()
        result, detail = _outcome(check)
        seconds = round(time.monotonic() - began, 2)
        _say(report, {"check": name, "result": result, "seconds": seconds, "detail": detail})
    report.flush()
    sys.stderr.flush()
    # Members that a failed check left behind must not keep the process.
    os._exit(0)


def _outcome(check: Callable[[], None]) -> tuple[str, str]:
    signal.alarm(CHECK_DEADLINE_S)
    try:
        check()
    except Skip as skip:
        return "skip", str(skip)
    except Exception as error:
        traceback.print_exc()
        reason = str(error) if isinstance(error, AssertionError | TimeoutError) else f"{type(error).__name__}: {error}"
        return "fail", (reason or f"{type(error).__name__}")[:REASON_CHARACTERS]
    finally:
        signal.alarm(0)
    return "pass", ""


def _expired(_signal: int, _frame: object) -> None:
    raise TimeoutError(f"the check did not end within {CHECK_DEADLINE_S} s")


def _say(report, line: dict) -> None:
    report.write(json.dumps(line) + "\n")
    report.flush()
