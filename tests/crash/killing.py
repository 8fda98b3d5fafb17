"""Starts the assassin of `clients/assassin.py` and reaps its victims."""

import subprocess
import sys
from pathlib import Path

from clients import assassin
from clients.harness import Broker

TIMEOUT_S = 20.0


class Assassin:
    """Kills a broker at a moment of its life; armed on return."""

    def __init__(self, moment: str, data_dir: Path, delay_us: int):
        command = [sys.executable, assassin.__file__, moment, str(data_dir), str(delay_us), str(TIMEOUT_S)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout.readline() == "armed\n", f"the assassin for {moment} did not arm"

    def name_victim(self, broker: Broker) -> None:
        self._process.stdin.write(f"{broker.pid}\n")
        self._process.stdin.flush()

    def struck(self) -> bool:
        """Whether it has killed."""
        return self._process.poll() is not None

    def reap(self, broker: Broker) -> bool:
        """Waits for both processes to end; true if the moment came, false if the time was over first."""
        out, _ = self._process.communicate(timeout=TIMEOUT_S + 10)
        assert self._process.returncode == 0, f"the assassin failed with {self._process.returncode}"
        broker.kill9()
        return out.strip() == "came"
