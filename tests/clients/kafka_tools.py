"""Kafka's own command-line tools, one JVM per call."""

import subprocess
from pathlib import Path

from clients.harness import KAFKA_LIB, REPOSITORY

TOOL_DEADLINE_S = 60.0
# A short life: little heap, the fastest compiler, no wait for a shared archive.
JVM_FLAGS = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
LOG_CONFIG = REPOSITORY / "tests/kafka-tools/log4j2.xml"

TOPICS = "org.apache.kafka.tools.TopicCommand"
CONFIGS = "kafka.admin.ConfigCommand"
OFFSETS = "org.apache.kafka.tools.GetOffsetShell"
DELETE_RECORDS = "org.apache.kafka.tools.DeleteRecordsCommand"
PRODUCER = "org.apache.kafka.tools.ConsoleProducer"
CONSUMER = "org.apache.kafka.tools.consumer.ConsoleConsumer"
API_VERSIONS = "org.apache.kafka.tools.BrokerApiVersionsCommand"
DUMP_LOG = "org.apache.kafka.tools.DumpLogSegments"


def installed() -> bool:
    """Whether Maven has fetched the jars."""
    return any(KAFKA_LIB.glob("kafka-tools-*.jar"))


def java_command(tool: str, *arguments: str | Path) -> list[str]:
    """The command line that runs one of Kafka's classes."""
    return [
        "java",
        *JVM_FLAGS,
        f"-Dlog4j2.configurationFile={LOG_CONFIG}",
        "-cp",
        f"{KAFKA_LIB}/*",
        tool,
        *map(str, arguments),
    ]


def try_tool(tool: str, *arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Runs a tool to its end, whatever its exit code."""
    command = java_command(tool, *arguments)
    return subprocess.run(
        command, input=stdin, capture_output=True, text=True, errors="replace", timeout=TOOL_DEADLINE_S
    )


def run_tool(tool: str, *arguments: str | Path, stdin: str = "") -> str:
    """The standard output of a tool that must succeed."""
    result = try_tool(tool, *arguments, stdin=stdin)
    said = f"{result.stdout[-4_000:]}\n{result.stderr[-4_000:]}"
    assert result.returncode == 0, f"{tool.rsplit('.')[-1]} {arguments} exited with {result.returncode}:\n{said}"
    return result.stdout
