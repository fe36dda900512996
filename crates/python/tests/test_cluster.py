"""Spark jobs on clusters: workers that are killed, drivers that are, and the package shipped as an archive."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cluster import PATIENCE, Cluster, command, kill_session
from conftest import Tool, compare

import braid_evm

pytest.importorskip("pyspark", reason="PySpark is not installed: cargo xtask python --spark")

from test_docs import ROOT
from test_spark import table

#: Columns that differ from run to run.
MEASURED = ["seq_ms", "par_ms", "speedup", "incarnations", "aborts", "speculative_share", "segments"]

#: Partitions of the jobs in which something is killed, and how often the worker is.
PARTS, KILLS = 16, 10


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("cluster"), workers=2)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def many(blocks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Blocks, right and wrong, that take a while."""
    folder = tmp_path_factory.mktemp("many")
    for index in range(2 * PARTS):
        braid_evm.generate_file(folder / f"{index}.json.zst", "erc20", txs=300 + index, seed=index)
    for name in ("e-invalid.json", "f-other-gas.json", "g-no-json.json"):
        shutil.copy(blocks / name, folder)
    return folder


def job(cluster: Cluster, source: str | Path, output: str | Path, rounds: int = 1) -> list[str]:
    line = [command("braid-spark"), "verify", str(source), str(output), "--master", cluster.url]
    line += ["--partitions", str(PARTS), "--rounds", str(rounds)]
    return [*line, "--conf", "spark.executor.memory=512m", "--conf", "spark.ui.enabled=false"]


def finished(output: Path) -> dict[Path, int]:
    return {it: it.stat().st_mtime_ns for it in output.glob("part=*/*.parquet")}


def settled(output: Path) -> Any:
    found = table(output)
    checked = [None if it is None else sorted(it) for it in found["checks"].to_pylist()]
    columns = [*MEASURED, "checks", "not_checkable"]
    return found.drop_columns(columns).append_column("checks", pa.array(map(str, checked)))


def wait_for_half(driver: subprocess.Popen[bytes], output: Path) -> dict[Path, int]:
    """Waits until some partitions are there, and returns them."""
    wait_for(driver, lambda: len(finished(output)) >= 3)
    return finished(output)


def wait_for(driver: subprocess.Popen[bytes], reached: Callable[[], bool]) -> None:
    """Waits until a job that runs has come to a point."""
    give_up = time.monotonic() + PATIENCE
    while not reached():
        assert driver.poll() is None and time.monotonic() < give_up
        time.sleep(0.01)


def test_a_cluster_within_one_process(tool: Tool, blocks: Path, tmp_path: Path, cluster: Cluster) -> None:
    line = [command("braid-spark"), "verify", str(blocks), str(tmp_path / "out")]
    line += ["--master", "local-cluster[2,1,1024]", "--conf", "spark.executor.memory=512m"]
    done = subprocess.run(line, capture_output=True, text=True, env=cluster.environment, check=False)
    assert done.returncode == 1, done.stderr
    compare(tool, blocks, table(tmp_path / "out"))


def test_a_standalone_cluster(tool: Tool, blocks: Path, tmp_path: Path, cluster: Cluster) -> None:
    line = job(cluster, blocks, tmp_path / "out")
    done = subprocess.run(line, capture_output=True, text=True, env=cluster.environment, check=False)
    assert done.returncode == 1, done.stderr
    compare(tool, blocks, table(tmp_path / "out"))


@pytest.fixture(scope="module")
def undisturbed(cluster: Cluster, many: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    done = subprocess.run(job(cluster, many, output), capture_output=True, env=cluster.environment, check=False)
    assert done.returncode == 1, done.stderr.decode()
    found = settled(output)
    assert found.num_rows == 2 * PARTS + 3 and len(finished(output)) == PARTS
    return found


@pytest.mark.parametrize("attempt", range(KILLS))
def test_a_killed_worker_changes_nothing(
    cluster: Cluster, many: Path, undisturbed: Any, tmp_path: Path, attempt: int
) -> None:
    output, log = tmp_path / "out", tmp_path / "log"
    with log.open("wb") as said:
        line = job(cluster, many, output, rounds=20)
        driver = subprocess.Popen(line, stderr=said, env=cluster.environment, start_new_session=True)
    try:
        wait_for_half(driver, output)
        worker = cluster.workers[attempt % 2]
        kill_session(worker)
        assert len(finished(output)) < PARTS and driver.poll() is None
        cluster.replace(worker)
        assert driver.wait(PATIENCE) == 1, log.read_text()
    finally:
        kill_session(driver)
    assert "Lost executor" in log.read_text()
    assert settled(output) == undisturbed
    assert len(finished(output)) == PARTS


def test_a_killed_driver_of_a_cluster(
    cluster: Cluster, many: Path, undisturbed: Any, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    line = job(cluster, many, output, rounds=20)
    driver = subprocess.Popen(
        line, stderr=subprocess.DEVNULL, env=cluster.environment, start_new_session=True
    )
    try:
        wait_for_half(driver, output)
    finally:
        kill_session(driver)
    again = subprocess.run(line, capture_output=True, text=True, env=cluster.environment, check=False)
    assert again.returncode == 1, again.stderr
    kept = finished(output)
    [said] = [it for it in again.stderr.splitlines() if "partitions are there from an earlier run" in it]
    skipped = int(said.split()[1])
    assert 3 <= skipped < PARTS and f"in {PARTS - skipped} partitions" in again.stderr
    assert len(kept) == PARTS and settled(output) == undisturbed


def without_the_package(folder: Path) -> dict[str, str]:
    """An environment with all packages of this one but `braid_evm`, and the Python that sees them."""
    site = folder / "site"
    site.mkdir()
    for package in Path(pa.__file__).parent.parent.iterdir():
        if not package.name.startswith("braid_evm"):
            (site / package.name).symlink_to(package)
    python = folder / "python"
    base = Path(sys.base_prefix, "bin", f"python3.{sys.version_info[1]}")
    python.write_text(f"#!/bin/sh\nPYTHONPATH=$PYTHONPATH:{site} exec {base} -s \"$@\"\n")
    python.chmod(0o755)
    asked = subprocess.run([python, "-c", "import pyarrow, braid_evm"], capture_output=True, check=False)
    assert b"No module named 'braid_evm'" in asked.stderr
    return {"PYSPARK_PYTHON": str(python), "PYSPARK_DRIVER_PYTHON": str(python)}


def test_the_wheel_is_shipped_by_spark_submit(
    tool: Tool, blocks: Path, tmp_path: Path, cluster: Cluster
) -> None:
    wheel = os.environ.get("BRAID_WHEEL")
    if wheel is None:
        pytest.skip("BRAID_WHEEL does not name the wheel: run cargo xtask python --spark")
    # As documented; neither the driver nor the workers have the package.
    shutil.copy(wheel, tmp_path / "braid_evm.zip")
    page = (ROOT / "docs/SPARK.md").read_text()
    lines = page.split("cp target/python/wheels/*.whl braid_evm.zip\n")[1].split("```")[0]
    unpack, submit = lines.replace("\\\n", "").splitlines()
    subprocess.run([sys.executable, *shlex.split(unpack)[1:]], check=True, cwd=tmp_path)
    for placeholder, path in (("spark://host:7077", cluster.url), ("/data/blocks", blocks), ("/data/verified", "out")):
        assert placeholder in submit
        submit = submit.replace(placeholder, str(path))
    environment = {**cluster.environment, **without_the_package(tmp_path)}
    line = [command("spark-submit"), "--conf", "spark.executor.memory=512m", *shlex.split(submit)[1:]]
    done = subprocess.run(line, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert done.returncode == 1, done.stderr
    compare(tool, blocks, table(tmp_path / "out"))


def test_files_only_hadoop_can_open(tool: Tool, blocks: Path, tmp_path: Path, cluster: Cluster) -> None:
    """Paths of a file system that Python does not know, on workers that get no path."""
    line = job(cluster, blocks, tmp_path / "out")
    line[2:4] = ["viewfs://braid/in", "viewfs://braid/here/out"]
    for link, folder in (("in", blocks), ("here", tmp_path)):
        line += ["--conf", f"spark.hadoop.fs.viewfs.mounttable.braid.link./{link}=file://{folder}"]
    done = subprocess.run(line, capture_output=True, text=True, env=cluster.environment, check=False)
    assert done.returncode == 1, done.stderr
    found = table(tmp_path / "out")
    names = [it.replace("viewfs://braid/in", str(blocks)) for it in found["file"].to_pylist()]
    found = found.set_column(0, "file", pa.array(names))
    compare(tool, blocks, found)
    again = subprocess.run(line, capture_output=True, text=True, env=cluster.environment, check=False)
    assert again.returncode == 1 and "braid-spark: 0 blocks" in again.stderr
    assert pq.read_table(tmp_path / "out").num_rows == found.num_rows


def test_witnesses_of_files_only_hadoop_can_open(real_blocks: Path, tmp_path: Path, cluster: Cluster) -> None:
    witness = next(real_blocks.glob("mainnet-*.witness.json.zst"))
    (tmp_path / "in").mkdir()
    for name in (witness.name, witness.name.replace(".witness", "")):
        shutil.copy(real_blocks / name, tmp_path / "in")
    line = job(cluster, tmp_path, tmp_path)
    line[2:4] = ["viewfs://braid/here/in", "viewfs://braid/here/out"]
    line += ["--conf", f"spark.hadoop.fs.viewfs.mounttable.braid.link./here=file://{tmp_path}"]
    done = subprocess.run(line, capture_output=True, text=True, env=cluster.environment, check=False)
    assert done.returncode == 0, done.stderr
    [checks] = table(tmp_path / "out")["checks"].to_pylist()
    assert dict(checks)["stateRoot"]
