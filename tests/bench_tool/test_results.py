"""What the tool writes for other programs."""

import csv
import json

from benching import FAILED, OK, USAGE, bench, histogram_count

from clients.harness import Broker


def test_documents_agree_with_each_other(broker: Broker, topic: str, tmp_path):
    result, seconds, hdr = (tmp_path / name for name in ("result.json", "seconds.csv", "latency.hlog"))
    files = ["--json", result, "--csv", seconds, "--hdr", hdr]
    load = ["-b", broker.bootstrap, "--topic", topic, "--partitions", 2, "-c", 8, "-d", "3s"]
    run = bench(*load, *files, "-X", "client.id=mine").expect(OK)

    document = json.loads(result.read_text())
    results, settings = document["results"], document["settings"]
    assert settings["partitions"] == 2 and settings["duration_s"] == 3 and settings["properties"] == ["client.id=mine"]
    assert document["machine"]["cpus"] > 0 and document["machine"]["kernel"]
    latency = results["latency"]
    percentiles = [latency[name] for name in ("min_ms", "p50_ms", "p95_ms", "p99_ms", "p99_9_ms", "max_ms")]
    assert percentiles == sorted(percentiles) and percentiles[0] > 0
    assert results["success_percent"] == 100 and results["client_cpu_seconds"] > 0
    assert abs(results["records"] / results["seconds"] - results["records_per_s"]) < 1
    assert f"{results['records']:,} in" in run.out

    rows = list(csv.DictReader(seconds.open()))
    assert sum(int(row["records"]) for row in rows) == results["records"]
    # The last one may be shorter than its digits show.
    assert all(float(row["from_s"]) <= float(row["to_s"]) for row in rows)

    lines = [line for line in hdr.read_text().splitlines() if line[0].isdigit()]
    assert sum(histogram_count(line.split(",")[3]) for line in lines) == results["records"]


def test_a_run_is_compared_with_an_earlier_one(broker: Broker, topic: str, tmp_path):
    old = tmp_path / "old.json"
    load = ["-b", broker.bootstrap, "--topic", topic, "--message-count", 2_000]
    bench(*load, "--json", old).expect(OK)
    run = bench(*load, "--compare", old, "-c", 3).expect(OK)
    assert "ratio" in run.out and "records/s" in run.out and "p99 ms" in run.out
    assert "concurrency 64 -> 3" in run.out
    # The same file may be compared with and then replaced.
    bench(*load, "--compare", old, "--json", old, "-c", 3).expect(OK)
    assert json.loads(old.read_text())["settings"]["concurrency"] == 3


def test_files_are_tried_before_the_load(broker: Broker, tmp_path):
    missing = tmp_path / "missing" / "file"
    for option in ("--json", "--csv", "--hdr", "--compare"):
        run = bench("-b", broker.bootstrap, "-d", "1h", option, missing).expect(FAILED)
        assert str(missing) in run.err
    wrong = tmp_path / "wrong.json"
    wrong.write_text("{}")
    bench("-b", broker.bootstrap, "-d", "1h", "--compare", wrong).expect(USAGE)
