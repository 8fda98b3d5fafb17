"""Real input: the Debian package index of this machine, one record per package version."""

import os
import subprocess
from typing import NamedTuple

from clients.reading import Entry, assert_same

MIN_RECORDS = 50_000
SEPARATOR = b"\n\n"
NAME_FIELD = b"Package: "
APT_DEADLINE_S = 300


class Package(NamedTuple):
    """One record of the index: the package's name and the record's bytes as apt prints them."""

    name: bytes
    record: bytes


def read_index() -> list[Package]:
    """Every record `apt-cache dumpavail` prints, in its order."""
    raw = _dump()
    if raw.count(SEPARATOR) < MIN_RECORDS and os.environ.get("CI"):
        as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
        subprocess.run([*as_root, "apt-get", "-q", "update"], check=True, timeout=APT_DEADLINE_S)
        raw = _dump()
    records = raw.split(SEPARATOR)
    assert records[-1].strip() == b"", "the dump ends inside a record"
    packages = [Package(_name(record), record) for record in records[:-1]]
    assert len(packages) > MIN_RECORDS, f"only {len(packages)} packages known here; run: apt-get update"
    return packages


def assert_whole(index: list[Package], partitions: list[list[Entry]]) -> None:
    """The partitions together are the index: a key lives in one partition, offsets have no gaps, order is kept."""
    home: dict[bytes, int] = {}
    for number, entries in enumerate(partitions):
        assert entries, f"partition {number} is empty"
        assert_same([e.offset for e in entries], range(len(entries)), f"offsets of partition {number}")
        for entry in entries:
            assert home.setdefault(entry.key, number) == number, f"{entry.key!r} is in two partitions"
    missing = {package.name for package in index} - home.keys()
    assert not missing, f"{len(missing)} packages are missing, among them {sorted(missing)[:5]}"
    for number, entries in enumerate(partitions):
        expected = [package for package in index if home[package.name] == number]
        assert_same([Package(e.key, e.value) for e in entries], expected, f"partition {number}")


def _dump() -> bytes:
    return subprocess.run(["apt-cache", "dumpavail"], check=True, capture_output=True, timeout=APT_DEADLINE_S).stdout


def _name(record: bytes) -> bytes:
    for line in record.split(b"\n"):
        if line.startswith(NAME_FIELD):
            return line[len(NAME_FIELD) :]
    raise ValueError(f"a record without a name: {record[:80]!r}")
