"""Spark jobs from and to a real HDFS: the same rows, restarts, drivers that are killed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from cluster import Cluster, kill_session
from conftest import Tool, compare
from hdfs import Hdfs, jars

pytest.importorskip("pyspark", reason="PySpark is not installed: cargo xtask python --spark")

from test_cluster import PARTS, cluster, job, many, settled, undisturbed, wait_for
from test_spark import table

#: Fixtures of another module are found by their names here.
__all__ = ["cluster", "many", "undisturbed"]


@pytest.fixture(scope="module")
def hdfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hdfs]:
    found = jars()
    if found is None:
        pytest.skip("BRAID_HADOOP_JARS does not name the jars of a Hadoop: run cargo xtask python --spark")
    made = Hdfs(tmp_path_factory.mktemp("hdfs"), found)
    yield made
    made.stop()


def parts(hdfs: Hdfs, output: str) -> set[str]:
    """Folders of finished partitions."""
    lines = hdfs.shell("-ls", output).splitlines()
    return {line.rpartition("/")[2] for line in lines if "part=" in line}


def stored(hdfs: Hdfs) -> int:
    """Number of blocks of files that the data node has: one for each small file."""
    return len(list(hdfs.folder.glob("data/dfs/data/current/*/current/finalized/*/*/blk_*.meta")))


def fetched(hdfs: Hdfs, output: str, folder: Path) -> Path:
    """A copy of the output on this machine."""
    hdfs.shell("-get", output, folder)
    return folder


def run(cluster: Cluster, source: str, output: str, *options: str) -> subprocess.CompletedProcess[str]:
    line = job(cluster, source, output)
    return subprocess.run([*line, *options], capture_output=True, text=True, env=cluster.environment, check=False)


def test_from_hdfs_to_hdfs(tool: Tool, blocks: Path, tmp_path: Path, hdfs: Hdfs, cluster: Cluster) -> None:
    source, output = f"{hdfs.url}/blocks", f"{hdfs.url}/deep/verified"
    hdfs.shell("-put", blocks, source)
    done = run(cluster, source, output)
    assert done.returncode == 1, done.stderr

    def rows(name: str) -> Any:
        found = table(fetched(hdfs, output, tmp_path / name))
        names = [it.replace(source, str(blocks)) for it in found["file"].to_pylist()]
        return found.set_column(0, "file", pa.array(names))

    first = rows("first")
    compare(tool, blocks, first)
    again = run(cluster, source, output)
    assert again.returncode == 1 and "braid-spark: 0 blocks" in again.stderr
    # A part that is lost is the only one that runs.
    [lost, *kept] = sorted(parts(hdfs, output))
    hdfs.shell("-rm", "-r", "-skipTrash", f"{output}/{lost}")
    again = run(cluster, source, output)
    assert again.returncode == 1 and " in 1 partitions" in again.stderr, again.stderr
    assert parts(hdfs, output) == {lost, *kept}
    compare(tool, blocks, rows("again"))
    # Another job's output is not mixed with it.
    assert run(cluster, source, output, "--rounds", "2").returncode == 2


def test_a_killed_driver_with_an_output_in_hdfs(
    many: Path, undisturbed: Any, tmp_path: Path, hdfs: Hdfs, cluster: Cluster
) -> None:
    output = f"{hdfs.url}/killed"
    line = job(cluster, many, output, rounds=20)
    # The plan, and some partitions: two of them may not be committed yet.
    enough = stored(hdfs) + 1 + 4
    with (tmp_path / "log").open("wb") as log:
        driver = subprocess.Popen(line, stderr=log, env=cluster.environment, start_new_session=True)
    try:
        wait_for(driver, lambda: stored(hdfs) >= enough)
    finally:
        kill_session(driver)
    there = len(parts(hdfs, output))
    assert 2 <= there < PARTS
    again = subprocess.run(line, capture_output=True, text=True, env=cluster.environment, check=False)
    assert again.returncode == 1, again.stderr
    assert f"{there} of {PARTS} partitions are there from an earlier run" in again.stderr
    assert settled(fetched(hdfs, output, tmp_path / "out")) == undisturbed
    assert len(parts(hdfs, output)) == PARTS


def test_witnesses_in_hdfs(real_blocks: Path, tmp_path: Path, hdfs: Hdfs, cluster: Cluster) -> None:
    witness = next(real_blocks.glob("mainnet-*.witness.json.zst"))
    source, output = f"{hdfs.url}/real", f"{hdfs.url}/real-verified"
    (tmp_path / "in").mkdir()
    for name in (witness.name, witness.name.replace(".witness", "")):
        shutil.copy(real_blocks / name, tmp_path / "in")
    hdfs.shell("-put", tmp_path / "in", source)
    done = run(cluster, source, output)
    assert done.returncode == 0, done.stderr
    [checks] = table(fetched(hdfs, output, tmp_path / "out"))["checks"].to_pylist()
    assert dict(checks)["stateRoot"]
