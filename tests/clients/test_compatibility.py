"""The committed page of the clients' results, how results are read, and the control server of the suites."""

import json
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from clients import compatibility, suites
from clients.control import ControlServer
from clients.suites import FAIL, PASS, SKIP, Check, Outcome


def outcome(suite: str, *checks: Check) -> Outcome:
    return Outcome(suite, f"client of {suite}", "1.0", checks=list(checks))


def test_the_committed_page_speaks_of_the_suites_there_are():
    compatibility.check(compatibility.PAGE.read_text())


def test_the_page_shows_every_result_and_every_reason():
    page = compatibility.render(
        [
            outcome("two", Check("tools-list", FAIL, 1.0, "got <a> | b_c")),
            outcome("one", Check("create-topic", PASS, 1.0, ""), Check("transactions", SKIP, 0.0, "has none")),
        ]
    )

    assert compatibility.suites_on_the_page(page) == ["one", "two"]
    assert "| `one` | client of one | 1.0 | 1 | 0 | 1 |" in page
    assert "| create-topic | yes |" in page
    assert "- transactions (not run): has none" in page
    assert "| tools-list | **no** |" in page
    assert r"- tools-list (failed): got \<a\> \| b\_c" in page


def test_a_page_that_lacks_a_suite_is_noticed():
    with pytest.raises(ValueError, match="lacks"):
        compatibility.check(compatibility.render([outcome("no_such_suite", Check("create-topic", PASS, 1.0, ""))]))


REPORT = [
    {"client": "some client", "version": "7"},
    {"check": "tools-one", "result": "pass", "seconds": 0.1, "detail": ""},
    {"check": "tools-two", "result": "fail", "seconds": 0.1, "detail": "PREFIXt1 on BOOTSTRAP is gone"},
]


@pytest.fixture
def made_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A suite folder `made` whose program is still to be written."""
    monkeypatch.setattr(suites, "SUITES_FOLDER", tmp_path)
    (tmp_path / "made").mkdir()
    return tmp_path / "made" / "run"


class SilentBroker:
    """What a run needs of a broker when the suite does not talk to it."""

    bootstrap = "127.0.0.1:1"
    process = None


def run(program: Path, code: str, folder: Path) -> Outcome:
    program.write_text(f"#!{sys.executable}\nimport json, os, sys, time\n{code}\n")
    program.chmod(0o755)
    return suites.run("made", SilentBroker(), folder)


def test_a_report_is_read_without_what_differs_between_runs(made_suite: Path, tmp_path: Path):
    code = f"""
for line in {json.dumps(REPORT)}:
    text = json.dumps(line).replace("PREFIX", os.environ["PREFIX"]).replace("BOOTSTRAP", os.environ["BOOTSTRAP"])
    print(text)
"""
    found = run(made_suite, code, tmp_path)

    assert (found.client, found.version, found.problem) == ("some client", "7", "")
    assert [one.result for one in found.checks] == [PASS, FAIL]
    assert found.checks[1].detail == "t1 on BROKER is gone"


def test_a_client_that_leaves_out_a_check_has_failed_it(made_suite: Path, tmp_path: Path):
    line = {"check": "create-topic", "result": "pass", "seconds": 0.1, "detail": ""}
    found = run(made_suite, f"for line in {[REPORT[0], line]}: print(json.dumps(line))", tmp_path)

    assert found.of("create-topic").result == PASS
    assert found.of("transactions").detail == "not reported"
    assert len(found.checks) == len(suites.CHECKS)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("sys.exit(7)", "ended with 7"),
        ("print('hello')", "not a line of the report"),
        ("print(json.dumps({'check': 'create-topic', 'result': 'fail', 'seconds': 1}))", "no reason"),
        ("print(json.dumps({'check': 'create-topic', 'result': 'maybe', 'seconds': 1}))", "unknown result"),
        ("pass", "checked nothing"),
        ("time.sleep(600)", "no end after"),
    ],
)
def test_a_suite_that_breaks_the_form_is_a_problem(
    made_suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, problem: str
):
    if "sleep" in code:
        monkeypatch.setenv("CHRONIK_SUITE_MINUTES", "0.02")
    assert problem in run(made_suite, code, tmp_path).problem


def test_a_toolchain_that_is_missing_is_told_from_a_build_that_failed(made_suite: Path):
    for code, error in ((3, suites.ToolchainMissing), (1, RuntimeError)):
        made_suite.write_text(f"#!/bin/sh\necho no compiler\nexit {code}\n")
        made_suite.chmod(0o755)
        with pytest.raises(error, match="no compiler"):
            suites.build("made")


class RecordingBroker:
    """Writes down what is asked of it."""

    bootstrap = "127.0.0.1:1"

    def __init__(self):
        self.process: object | None = object()
        self.calls: list[str] = []

    def kill9(self) -> None:
        self.calls.append("kill9")
        self.process = None

    def start(self) -> None:
        self.calls.append("start")
        self.process = object()


def test_the_control_server_kills_and_starts_the_broker(made_suite: Path, tmp_path: Path):
    broker = RecordingBroker()
    code = f"""
import urllib.request, urllib.error
for path in ("/restart", "/stop", "/stop", "/start", "/nothing"):
    try:
        urllib.request.urlopen(urllib.request.Request(os.environ["CONTROL"] + path, data=b"", method="POST"))
    except urllib.error.HTTPError as error:
        print(json.dumps({json.dumps(REPORT[0])} | {{"version": str(error.code)}}))
print(json.dumps({json.dumps(REPORT[1])}))
"""
    made_suite.write_text(f"#!{sys.executable}\nimport json, os\n{code}\n")
    made_suite.chmod(0o755)
    found = suites.run("made", broker, tmp_path)

    assert found.problem == ""
    assert broker.calls == ["kill9", "start", "kill9", "start"]
    assert found.version == "404"


def test_a_broker_that_does_not_start_is_an_answer():
    class Broken:
        bootstrap = "127.0.0.1:1"
        process = None

        def start(self) -> None:
            raise AssertionError("the broker ended with 1")

    with ControlServer(Broken()) as control:
        said: list[str] = []

        def ask() -> None:
            request = urllib.request.Request(f"{control.url}/start", data=b"", method="POST")
            try:
                urllib.request.urlopen(request)
            except urllib.error.HTTPError as error:
                said.append(f"{error.code} {error.read().decode()}")

        asking = threading.Thread(target=ask)
        asking.start()
        control.serve_once(10.0)
        asking.join(10.0)

    assert said and said[0].startswith("500") and "ended with 1" in said[0]
    assert control.failures == ["/start: the broker ended with 1"]
