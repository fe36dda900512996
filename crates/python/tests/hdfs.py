"""A real HDFS on this machine: a name node and a data node, out of the jars that PySpark 2.4 came with.

PySpark 2.4 is the last one with a whole Hadoop (2.7): later ones have only its clients. What its jars lack is the pages of
the nodes' web servers, which may be empty.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

from cluster import PATIENCE, kill_session

_LOG = """\
log4j.rootLogger=INFO,out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%p %c: %m%n
"""
_SERVER = "org.apache.hadoop.hdfs.server"
_ANY_PORT = "127.0.0.1:0"


def jars() -> Path | None:
    """The folder of the jars, if there is one."""
    folder = os.environ.get("BRAID_HADOOP_JARS")
    return Path(folder) if folder else None


class Hdfs:
    """A name node and one data node. `url` is `hdfs://host:port`."""

    def __init__(self, folder: Path, jars: Path) -> None:
        self.folder, self.jars = folder, jars
        self.processes: list[subprocess.Popen[bytes]] = []
        for page in ("hdfs", "datanode", "static"):
            (folder / "classes/webapps" / page).mkdir(parents=True)
        (folder / "classes/log4j.properties").write_text(_LOG)
        try:
            self._settings(_ANY_PORT)
            format = self._start("format", "namenode.NameNode", "-format", "-nonInteractive")
            self._wait(format, "has been (successfully) formatted")
            assert self.processes.pop().wait(PATIENCE) == 0, format.read_text()
            address = self._wait(self._start("name", "namenode.NameNode"), r"RPC up at: \S*/(\S+)")
            self.url = f"hdfs://{address}"
            self._settings(address)
            self._wait(self._start("data", "datanode.DataNode"), "Successfully sent (block) report")
        except BaseException:
            self.stop()
            raise

    def shell(self, *arguments: str | Path) -> str:
        """What `hdfs dfs` prints, of that Hadoop."""
        line = [*self._java(), "org.apache.hadoop.fs.FsShell", *map(str, arguments)]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def stop(self) -> None:
        """Kills both nodes."""
        for process in self.processes:
            kill_session(process)

    def _settings(self, name_node: str) -> None:
        settings = {
            "fs.defaultFS": f"hdfs://{name_node}",
            "hadoop.tmp.dir": str(self.folder / "data"),
            "dfs.replication": "1",
            # It needs another web framework than the one that Spark has.
            "dfs.webhdfs.enabled": "false",
            "dfs.namenode.http-address": _ANY_PORT,
            "dfs.datanode.address": _ANY_PORT,
            "dfs.datanode.ipc.address": _ANY_PORT,
            "dfs.datanode.http.address": _ANY_PORT,
        }
        properties = (f"<property><name>{k}</name><value>{v}</value></property>" for k, v in settings.items())
        text = f"<configuration>{''.join(properties)}</configuration>"
        for name in ("core-site.xml", "hdfs-site.xml"):
            (self.folder / "classes" / name).write_text(text)

    def _java(self) -> list[str]:
        home = os.environ.get("JAVA_HOME")
        java = [str(Path(home, "bin/java")) if home else "java", "-Xmx256m"]
        classes = f"{self.folder / 'classes'}:{self.jars}/*"
        # Hadoop 2.7 is older than the modules of Java.
        return [*java, "--add-opens", "java.base/java.lang=ALL-UNNAMED", "-cp", classes]

    def _start(self, name: str, kind: str, *arguments: str) -> Path:
        log = self.folder / f"{name}.log"
        java = [*self._java(), f"{_SERVER}.{kind}", *arguments]
        with log.open("wb") as output:
            process = subprocess.Popen(
                java, stdout=output, stderr=subprocess.STDOUT, cwd=self.folder, start_new_session=True
            )
        self.processes.append(process)
        return log

    def _wait(self, log: Path, pattern: str) -> str:
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            ended = self.processes[-1].poll() is not None
            if found := re.search(pattern, log.read_text()):
                return found[1]
            if ended:
                break
            time.sleep(0.05)
        raise AssertionError(f"{log}: did not say {pattern}:\n{log.read_text()[-4000:]}")
