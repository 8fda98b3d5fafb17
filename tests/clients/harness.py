"""Broker processes for the suites: Chronik, a real Kafka as the peer, or one that is already running.

CHRONIK_SERVER     path of the server binary (default target/release/chronik-server)
CHRONIK_PEER       "kafka" runs the suites against a real Kafka from the jars in KAFKA_LIB
CHRONIK_BOOTSTRAP  host:port of a broker somebody else runs; it is never stopped or killed
KAFKA_LIB          folder of Kafka's jars (default target/kafka-tools/lib)
"""

import ctypes
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

from clients import wire
from clients.deadline import Deadline, wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
KAFKA_LIB = Path(os.environ.get("KAFKA_LIB", REPOSITORY / "target/kafka-tools/lib"))
PEER = os.environ.get("CHRONIK_PEER", "chronik")
BOOTSTRAP = os.environ.get("CHRONIK_BOOTSTRAP")

STOP_DEADLINE_S = 30.0
# Below Linux's ephemeral range: a client that dials a killed broker again and again could otherwise be
# given the broker's port as its own source port, connect to itself, and keep the broker from coming back.
PORTS = range(20_000, 32_000)
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)
_next_port = PORTS.start + os.getpid() * 97 % len(PORTS)


def free_port() -> int:
    """A port of 127.0.0.1 nobody listens on, not handed out before in this process."""
    global _next_port
    for _ in PORTS:
        port = _next_port
        _next_port = port + 1 if port + 1 in PORTS else PORTS.start
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port in {PORTS}")


def server_binary() -> Path:
    """The server under test; fails with the command that builds it."""
    path = Path(os.environ.get("CHRONIK_SERVER", REPOSITORY / "target/release/chronik-server"))
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; run: cargo build --release -p chronik-server")
    return path


class Broker:
    """One broker process with a port and a data directory that stay the same over restarts.

    `start` returns once the broker answers ApiVersions. Output of all its lives is in `log_path`.
    """

    ready_deadline_s = 30.0
    graceful_exit_codes: frozenset[int] = frozenset({0})

    def __init__(self, root: Path, properties: dict[str, str] | None = None):
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        self.data_dir = root / "data"
        self.log_path = root / "stderr.log"
        self.properties = dict(properties or {})
        self.port = free_port()
        self.process: subprocess.Popen | None = None

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process is not None, "the broker is not running"
        return self.process.pid

    def command(self) -> list[str]:
        """The command line of one life of the process."""
        raise NotImplementedError

    def start(self) -> float:
        """Starts the process, waits until it is ready and returns the seconds this took."""
        began = time.monotonic()
        self.spawn()
        self.wait_ready()
        return time.monotonic() - began

    def spawn(self) -> None:
        """Starts the process without waiting for it. Call from the main thread: the process ends with it."""
        assert self.process is None, "the broker is running already"
        command = self.command()
        # What configures the tests is not meant for the server, which reads variables of these names too.
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("CHRONIK_", "KAFKA_"))}
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )

    def wait_ready(self) -> None:
        """Returns once the broker answers ApiVersions; fails at once when the process ended."""
        wait_until(f"{self.bootstrap} to answer ApiVersions", self.ready_deadline_s, self._answers)

    def kill9(self) -> None:
        """SIGKILL, and the process reaped."""
        assert self.process is not None, "the broker is not running"
        self.process.kill()
        self.process.wait(STOP_DEADLINE_S)
        self.process = None

    def stop(self) -> None:
        """SIGTERM, and a graceful exit within the deadline."""
        assert self.process is not None, "the broker is not running"
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise AssertionError(
                f"no exit {STOP_DEADLINE_S:g} s after SIGTERM; its last words:\n{self.tail()}"
            ) from None
        self.process = None
        assert code in self.graceful_exit_codes, f"exit code {code} after SIGTERM; its last words:\n{self.tail()}"

    def restart(self) -> float:
        """A graceful stop and a start; returns the seconds until ready."""
        self.stop()
        return self.start()

    def close(self) -> None:
        """End of the test: a graceful stop if the process still runs, which must succeed."""
        if self.process is not None:
            assert self.process.poll() is None, f"ended by itself with {self.process.returncode}:\n{self.tail()}"
            self.stop()

    def stderr(self) -> str:
        """Everything the process wrote so far, over all its lives."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def tail(self, lines: int = 40) -> str:
        """The last lines it wrote."""
        return "\n".join(self.stderr().splitlines()[-lines:])

    def _answers(self) -> bool:
        assert self.process is not None
        code = self.process.poll()
        if code is not None:
            self.process = None
            raise AssertionError(f"the broker ended with {code} before it was ready:\n{self.tail()}")
        return self._probe()

    def _probe(self) -> bool:
        try:
            wire.api_versions(self.port, timeout_s=2.0)
        except OSError:
            return False
        return True


class ChronikBroker(Broker):
    """`chronik-server ... standalone`. `port=0` lets the server pick one and reads it from the banner."""

    def __init__(self, root: Path, properties: dict[str, str] | None = None, pick_port: bool = False):
        super().__init__(root, properties)
        self.metrics_port = free_port()
        self.extra_args: list[str] = []
        if pick_port:
            self.port = 0

    def command(self) -> list[str]:
        command = [str(server_binary())]
        command += ["--kafka-port", str(self.port), "--metrics-port", str(self.metrics_port)]
        command += ["--data-dir", str(self.data_dir)]
        if self.properties:
            command += ["--config", str(_write_properties(self.root / "server.properties", self.properties))]
        return [*command, *self.extra_args, "standalone"]

    def _probe(self) -> bool:
        if self.port == 0:
            # People get a banner, pipes get one JSON event.
            banner = re.search(r'(?:^\s*kafka\s+|"listeners":"PLAINTEXT://)\S*?:(\d+)', self.stderr(), re.MULTILINE)
            if banner is None:
                return False
            self.port = int(banner.group(1))
        return super()._probe()


class KafkaBroker(Broker):
    """A real Apache Kafka, one node in KRaft mode, started from its jars."""

    ready_deadline_s = 90.0
    # The JVM ends a graceful shutdown with 128 + SIGTERM.
    graceful_exit_codes = frozenset({0, 143})
    # Heap and collector flags of Kafka's own start script.
    jvm_flags = (
        "-Xms1g",
        "-Xmx1g",
        "-XX:+UseG1GC",
        "-XX:MaxGCPauseMillis=20",
        "-XX:InitiatingHeapOccupancyPercent=35",
        "-XX:+ExplicitGCInvokesConcurrent",
        "-XX:MaxInlineLevel=15",
    )

    def __init__(self, root: Path, properties: dict[str, str] | None = None):
        super().__init__(root, properties)
        self.controller_port = free_port()

    def command(self) -> list[str]:
        config = _write_properties(self.root / "server.properties", self._properties() | self.properties)
        if not self.data_dir.exists():
            self._format(config)
        return [*self._java(), *self.jvm_flags, "-cp", f"{KAFKA_LIB}/*", "kafka.Kafka", str(config)]

    def _properties(self) -> dict[str, str]:
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "listeners": f"PLAINTEXT://:{self.port},CONTROLLER://:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{self.controller_port}",
            "log.dirs": str(self.data_dir),
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
        }

    def _format(self, config: Path) -> None:
        tool = [*self._java(), "-cp", f"{KAFKA_LIB}/*", "kafka.tools.StorageTool"]
        cluster_id = subprocess.run([*tool, "random-uuid"], check=True, capture_output=True, text=True, timeout=60)
        arguments = ["format", "--standalone", "-t", cluster_id.stdout.split()[-1], "-c", str(config)]
        subprocess.run([*tool, *arguments], check=True, capture_output=True, timeout=60)

    def _java(self) -> list[str]:
        if not any(KAFKA_LIB.glob("kafka_2.13-*.jar")):
            raise FileNotFoundError(f"no Kafka jars in {KAFKA_LIB}; run: tests/run --stage kafka-tools")
        return ["java", f"-Dlog4j2.configurationFile={REPOSITORY / 'tests/kafka-tools/log4j2.xml'}"]


class ExternalBroker(Broker):
    """A broker somebody else runs; suites that stop or kill their broker are skipped."""

    def __init__(self, root: Path, bootstrap: str):
        super().__init__(root)
        host, port = bootstrap.rsplit(":", 1)
        assert host in ("127.0.0.1", "localhost"), "CHRONIK_BOOTSTRAP must be on this machine"
        self.port = int(port)

    def start(self) -> float:
        deadline = Deadline(self.ready_deadline_s)
        while not self._probe():
            deadline.check(f"{self.bootstrap} to answer ApiVersions")
        return 0.0


def make_broker(root: Path, properties: dict[str, str] | None = None, owned: bool = False) -> Broker:
    """The broker the environment asks for, not started. `owned`: the test must be able to stop it."""
    if BOOTSTRAP and not properties and not owned:
        return ExternalBroker(root, BOOTSTRAP)
    if PEER == "kafka":
        return KafkaBroker(root, properties)
    return ChronikBroker(root, properties)


def _write_properties(path: Path, properties: dict[str, str]) -> Path:
    path.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
    return path


def die_with_parent() -> None:
    """Between fork and exec: the child is killed when the thread that started it ends."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
