"""Processes of Spark: a standalone master with workers, and what ends them."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

#: Seconds after which something that should happen will not.
PATIENCE = 300.0


def of_session(leader: int) -> list[int]:
    """The processes of a session: a driver has Java and Python workers with process groups of their own."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, fields = int(stat.parent.name), stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(pid)
    return found


def kill_session(leader: subprocess.Popen[bytes]) -> None:
    """Kills a process that was started with a session of its own, and all that it has started."""
    while left := of_session(leader.pid):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        leader.wait()


def command(name: str) -> str:
    """A command of the environment that runs the tests."""
    return str(Path(sys.executable).parent / name)


class Cluster:
    """A standalone master and workers of one core each, on this machine, out of the package PySpark."""

    def __init__(self, folder: Path, workers: int) -> None:
        import pyspark

        self.folder = folder
        self.environment = {
            **os.environ,
            "SPARK_HOME": str(Path(pyspark.__file__).parent),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYSPARK_PYTHON": sys.executable,
        }
        self.processes: list[subprocess.Popen[bytes]] = []
        master = "org.apache.spark.deploy.master.Master"
        log = self._start("master", master, "--host", "127.0.0.1", "--port", "0")
        self.url = self._wait(log, r"Starting Spark master at (spark://\S+)")
        self.workers = [self.worker() for _ in range(workers)]

    def worker(self) -> subprocess.Popen[bytes]:
        """Starts a worker and waits until the master knows it."""
        name = f"worker-{len(self.processes)}"
        worker = "org.apache.spark.deploy.worker.Worker"
        size = ("--host", "127.0.0.1", "--cores", "1", "--memory", "1g")
        log = self._start(name, worker, *size, "--work-dir", str(self.folder / name), self.url)
        self._wait(log, "Successfully (registered) with master")
        return self.processes[-1]

    def replace(self, worker: subprocess.Popen[bytes]) -> None:
        """Starts a worker in place of one that was killed."""
        self.workers[self.workers.index(worker)] = self.worker()

    def stop(self) -> None:
        """Kills everything that was started."""
        for process in self.processes:
            kill_session(process)

    def _start(self, name: str, kind: str, *arguments: str) -> Path:
        log = self.folder / f"{name}.log"
        spark_class = str(Path(self.environment["SPARK_HOME"], "bin/spark-class"))
        with log.open("wb") as output:
            process = subprocess.Popen(
                [spark_class, kind, "--webui-port", "0", *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environment,
                cwd=self.folder,
                start_new_session=True,
            )
        self.processes.append(process)
        return log

    def _wait(self, log: Path, pattern: str) -> str:
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up and self.processes[-1].poll() is None:
            if found := re.search(pattern, log.read_text()):
                return found[1]
            time.sleep(0.05)
        raise AssertionError(f"{log}: did not say {pattern}:\n{log.read_text()}")
