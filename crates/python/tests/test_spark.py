"""Spark jobs: rows as the tool has them, a row for each failure, restarts."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from cluster import kill_session
from conftest import Tool, block, compare
from test_docs import ROOT, python_of

import braid_evm
from braid_evm.sources import expand

pytest.importorskip("pyspark", reason="PySpark is not installed: cargo xtask python --spark")

from braid_evm.spark import task
from braid_evm.spark.job import Job, JobError, run
from braid_evm.spark.plan import OVERHEAD, Plan, Weighed, keys, pack

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master("local[2]").appName("test")
    session = builder.config("spark.ui.enabled", "false").getOrCreate()
    yield session
    session.stop()


def table(output: Path) -> Any:
    return pq.read_table(output).drop_columns(["part"]).sort_by("file")


def in_the_ui(spark: SparkSession) -> set[str]:
    """What Spark's UI calls the jobs."""
    jobs = spark.sparkContext._jsc.sc().statusStore().jobsList(None)
    descriptions = [jobs.apply(index).description() for index in range(jobs.size())]
    return {it.get() for it in descriptions if it.isDefined()}


def assert_columns(found: Any, schema: pa.Schema) -> None:
    assert found.schema.names == schema.names
    assert found.cast(schema).num_rows == found.num_rows


def test_a_folder_row_by_row(spark: SparkSession, tool: Tool, blocks: Path, tmp_path: Path) -> None:
    said: list[str] = []
    report = run(Job("verify", str(blocks), str(tmp_path / "out"), partitions=3), spark, said.append)
    files = list(expand([blocks]))
    assert (report.partitions, report.skipped, report.blocks) == (3, 0, len(files))
    found = table(tmp_path / "out")
    assert_columns(found, task.SCHEMAS["verify"])
    compare(tool, blocks, found)
    wanted = {None, "InvalidBlock", "UnreadableBlock"}
    assert set(found["error_kind"].to_pylist()) == wanted
    assert report.failures == sum(it is not None for it in found["error_kind"].to_pylist()) == 3
    assert any("8 blocks" in it for it in said)
    assert {"braid: weigh blocks", "braid: verify 3 partitions"} <= in_the_ui(spark)
    # Spark reads it as one table.
    assert spark.read.parquet(str(tmp_path / "out")).count() == len(files)


def test_the_documented_command_on_real_blocks(
    tool: Tool, real_blocks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/SPARK.md").read_text()
    [documented] = [line for line in page.splitlines() if line.startswith("braid-spark verify blocks ")]
    arguments = shlex.split(documented.replace(" blocks ", f" {real_blocks} "))
    command = [str(Path(sys.executable).parent / arguments[0]), *arguments[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = table(tmp_path / "verified")
    compare(tool, real_blocks, found)
    assert any("stateRoot" in dict(it) for it in found["checks"].to_pylist())
    names: dict[str, Any] = {}
    exec(python_of(page), names)
    assert names["wrong"].num_rows == 0 and names["slowest"].num_rows == 3


def test_a_first_try_as_documented(tmp_path: Path) -> None:
    page = (ROOT / "docs/SPARK.md").read_text()
    [shown] = [it for it in page.split("```sh\n") if it.startswith("mkdir blocks")]
    bin = Path(sys.executable).parent
    script = shown.split("```")[0].replace("/opt/braid-spark/bin", str(bin))
    environment = {**os.environ, "PATH": f"{bin}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", "-euc", script], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
    )
    assert done.returncode == 0 and "3 rows, 0 of them not ok" in done.stdout, done.stderr
    assert table(tmp_path / "surveyed")["txs"].to_pylist() == [1000] * 3


def test_a_parquet_table_of_bytes(spark: SparkSession, blocks: Path, tmp_path: Path) -> None:
    files = list(expand([blocks]))
    bytes_ = pa.array([Path(file).read_bytes() for file in files], pa.binary())
    for columns in ({"name": pa.array(files), "block": bytes_}, {"block": bytes_}):
        source, output = tmp_path / "in", tmp_path / "out"
        source.mkdir()
        pq.write_table(pa.table(columns), source / "blocks.parquet")
        run(Job("survey", str(source), str(output), partitions=2, rounds=0), spark)
        found = table(output)
        assert_columns(found, task.SURVEY)
        assert found.num_rows == len(files)
        if "name" in columns:
            assert found["file"].to_pylist() == files
            explained = [braid_evm.explain(file) if ok else None for file, ok in ok_of(found)]
            chains = [None if it is None else it.gas.chain for it in explained]
            assert [c for c, ok in zip(found["chain"].to_pylist(), found["ok"].to_pylist(), strict=True) if ok] == [
                c for c in chains if c is not None
            ]
        shutil.rmtree(source)
        shutil.rmtree(output)


def test_a_row_without_bytes_is_no_path(spark: SparkSession, blocks: Path, tmp_path: Path) -> None:
    file = next(iter(expand([blocks])))
    names, bytes_ = pa.array([file, "whole"]), pa.array([None, Path(file).read_bytes()], pa.binary())
    source, output = tmp_path / "in.parquet", tmp_path / "out"
    pq.write_table(pa.table({"name": names, "block": bytes_}), source)
    run(Job("verify", str(source), str(output), partitions=1, rounds=0), spark)
    assert sorted(ok_of(table(output))) == sorted([(file, False), ("whole", True)])
    names = pa.array([None, "whole"], pa.string())
    pq.write_table(pa.table({"name": names, "block": bytes_}), source)
    with pytest.raises(JobError, match="a name for each block"):
        run(Job("verify", str(source), str(tmp_path / "other"), rounds=0), spark)


def ok_of(found: Any) -> list[tuple[str, bool]]:
    return list(zip(found["file"].to_pylist(), found["ok"].to_pylist(), strict=True))


def test_a_restart_runs_what_is_missing(spark: SparkSession, blocks: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    job = Job("explain", str(blocks), str(output), partitions=4)
    first = run(job, spark)
    assert first.skipped == 0 and first.blocks == 8
    whole, times = table(output), {it: it.stat().st_mtime_ns for it in output.glob("part=*/*.parquet")}
    assert len(times) == 4
    again = run(job, spark)
    assert (again.skipped, again.blocks) == (4, 0)
    # As if the driver had been killed: one partition half written, two not begun.
    for part in (1, 2):
        shutil.rmtree(output / f"part={part}")
    half = output / "_temporary/0/_temporary/attempt_1/part=2/part-00002.parquet"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    # As if its last task had been committed when another driver ran already.
    twice = next((output / "part=3").glob("*.parquet"))
    shutil.copy(twice, twice.with_name(f"z-{twice.name}"))
    resumed = run(job, spark)
    plan = Plan.parse((output / "_plan.json").read_text())
    assert (resumed.skipped, resumed.blocks) == (2, sum(len(plan.partitions[part]) for part in (1, 2)))
    assert table(output) == whole and not half.exists()
    for part in (0, 3):
        [file] = (output / f"part={part}").glob("*.parquet")
        assert file.stat().st_mtime_ns == times[file]
    with pytest.raises(JobError, match="another job"):
        run(Job("verify", str(blocks), str(output)), spark)
    more = tmp_path / "more"
    shutil.copytree(blocks, more)
    other = Job("explain", str(more), str(tmp_path / "more-out"))
    run(other, spark)
    (more / "z.json").write_text("{")
    with pytest.raises(JobError, match="files that were others"):
        run(other, spark)


def test_a_limit_of_rows_for_each_file_loses_none(spark: SparkSession, blocks: Path, tmp_path: Path) -> None:
    limit = "spark.sql.files.maxRecordsPerFile"
    spark.conf.set(limit, "1")
    try:
        report = run(Job("verify", str(blocks), str(tmp_path / "out"), partitions=2), spark)
        assert spark.conf.get(limit) == "1"
    finally:
        spark.conf.unset(limit)
    assert report.rows == table(tmp_path / "out").num_rows == 8
    assert len(list((tmp_path / "out").glob("part=*/*.parquet"))) == 2


def test_jobs_that_cannot_begin(spark: SparkSession, blocks: Path, tmp_path: Path) -> None:
    empty, other = tmp_path / "empty", tmp_path / "other"
    empty.mkdir()
    other.mkdir()
    (other / "file").touch()
    twice = tmp_path / "twice.parquet"
    pq.write_table(pa.table({"name": ["a", "a"], "block": [b"1", b"2"]}), twice)
    none = tmp_path / "none.parquet"
    pq.write_table(pa.table({"block": pa.array([], pa.binary())}), none)
    for job, why in (
        (Job("verify", str(none), str(tmp_path / "out")), "without rows"),
        (Job("verify", "nowhere", str(tmp_path / "out")), "expected a folder"),
        (Job("verify", str(empty), str(tmp_path / "out")), "found none"),
        (Job("verify", str(next(blocks.glob("*.json"))), str(tmp_path / "out")), "expected a folder .* found another file"),
        (Job("verify", str(blocks), str(other)), "neither empty"),
        (Job("verify", str(blocks), str(blocks / "out")), "lies in the input"),
        (Job("verify", str(blocks), str(other / "file")), "is a file"),
        (Job("verify", str(twice), str(tmp_path / "out")), "a name of its own"),
        (Job("verify", str(twice), str(tmp_path / "out"), column="x"), "expected a column 'x'"),
        (Job("x", str(blocks), str(tmp_path / "out")), "expected a command"),
    ):
        with pytest.raises(JobError, match=why):
            run(job, spark)


def test_what_is_a_pattern_to_spark_is_refused(spark: SparkSession, blocks: Path, tmp_path: Path) -> None:
    # Those of other jobs, which `out[12]` would mean to Spark.
    for name in ("out1", "out2"):
        run(Job("verify", str(blocks), str(tmp_path / name), partitions=2, rounds=0), spark)
    files = {it for it in tmp_path.rglob("*") if it.is_file()}
    (tmp_path / "in{x}").symlink_to(blocks)
    for source, output in ((blocks, "out[12]"), (blocks, "out?"), (blocks, "*/o"), (tmp_path / "in{x}", "out3")):
        with pytest.raises(JobError, match="a pattern of names: choose or link a folder"):
            run(Job("verify", str(source), str(tmp_path / output)), spark)
    assert {it for it in tmp_path.rglob("*") if it.is_file()} == files


def test_a_block_with_the_largest_numbers_is_a_row(spark: SparkSession, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for field in ("gasUsed", "number", "none"):
        file = block()
        file["block"][field] = hex(2**64 - 1)
        (source / f"{field}.json").write_text(json.dumps(file))
    for command in ("verify", "explain", "survey"):
        output = tmp_path / command
        run(Job(command, str(source), str(output), partitions=1, rounds=0), spark)
        found = table(output)
        assert found["error_kind"].to_pylist() == [None, None, "UnreadableBlock"]
        assert found["ok"].to_pylist() == [False, True, False]
        assert f"gasUsed: expected {2**64 - 1}, found" in found["error"].to_pylist()[0]


def test_names_of_files_that_are_not_plain(spark: SparkSession, blocks: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "in put%20", tmp_path / "out put#+"
    source.mkdir()
    for name in (b"a b%20#+=.json", "\u00e9.json".encode(), b"\xff.json", b".hidden.json", b"_hidden.json"):
        shutil.copy(blocks / "a.json", source / os.fsdecode(name))
    report = run(Job("verify", str(source), str(output), partitions=2, rounds=0), spark)
    assert (report.rows, report.wrong) == (3, 1)
    found = table(output)
    assert [Path(it).name for it in found["file"].to_pylist()] == ["a b%20#+=.json", "\u00e9.json", "\ufffd.json"]
    assert found["error_kind"].to_pylist() == [None, None, "UnreadableBlock"]
    assert run(Job("verify", str(source), str(output), rounds=0), spark).skipped == 2


def test_an_old_output_within_the_input_is_not_read(spark: SparkSession, blocks: Path, tmp_path: Path) -> None:
    source = tmp_path / "in"
    shutil.copytree(blocks, source)
    run(Job("verify", str(blocks), str(source / "old"), partitions=1, rounds=0), spark)
    hadoop: Any = spark.sparkContext._jsc.hadoopConfiguration()
    hadoop.set("fs.viewfs.mounttable.t.link./in", f"file://{source}")
    for number, path in enumerate((str(source), "viewfs://t/in")):
        report = run(Job("verify", path, str(tmp_path / f"out{number}"), partitions=2, rounds=0), spark)
        assert report.rows == len(list(expand([blocks])))
    # Folders of a table are those of its columns.
    part = tmp_path / "table" / "day=1"
    part.mkdir(parents=True)
    pq.write_table(pa.table({"block": [(blocks / "a.json").read_bytes()]}), part / "a.parquet")
    assert run(Job("verify", str(part.parent), str(tmp_path / "of-table"), rounds=0), spark).rows == 1


def test_the_command(blocks: Path, tool: Tool, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "braid-spark")]
    arguments = ["verify", str(blocks), str(tmp_path / "out"), "--master", "local[2]", "--task-cores", "2"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stdout.endswith("8 rows, 4 of them not ok\n")
    found = table(tmp_path / "out")
    wrong = found.filter(pc.invert(found["ok"]))
    for file, error in zip(wrong["file"].to_pylist(), wrong["error"].to_pylist(), strict=True):
        assert f"{file}: {error}" in done.stderr.splitlines(), done.stderr
    compare(tool, blocks, found)
    assert {it for it in found["workers"].to_pylist() if it} == {2}
    again = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    assert again.returncode == 1 and "braid-spark: 0 blocks" in again.stderr
    helped = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
    assert "examples:" in helped.stdout
    bare = {**os.environ, "PATH": str(Path(sys.executable).parent), "JAVA_HOME": ""}
    refused = subprocess.run([*command, *arguments], capture_output=True, text=True, env=bare, check=False)
    assert refused.returncode == 2 and "found none: apt-get install default-jre-headless" in refused.stderr


def test_a_killed_driver_loses_and_repeats_nothing(blocks: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for index in range(16):
        shutil.copy(blocks / "c.json.zst", source / f"{index}.json.zst")
    command = [str(Path(sys.executable).parent / "braid-spark"), "verify", str(source), str(output)]
    command += ["--master", "local[2]", "--partitions", "16", "--rounds", "100"]
    driver = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        give_up = time.monotonic() + 300
        while len(list(output.glob("part=*/*.parquet"))) < 3 and time.monotonic() < give_up:
            assert driver.poll() is None
            time.sleep(0.01)
    finally:
        kill_session(driver)
    kept = {it: it.stat().st_mtime_ns for it in output.glob("part=*/*.parquet")}
    assert 3 <= len(kept) < 16
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert f"{len(kept)} of 16 partitions are there" in again.stderr
    assert f"braid-spark: {16 - len(kept)} blocks, 0 without a result" in again.stderr
    found = pq.read_table(output)
    names = sorted(Path(it).name for it in found["file"].to_pylist())
    assert names == sorted(it.name for it in source.iterdir())
    assert all(file.stat().st_mtime_ns == at for file, at in kept.items())


def test_shares_are_even_by_gas_and_the_same_each_time() -> None:
    gas = [30_000_000 // (1 + index % 7) ** 2 for index in range(500)]
    weighed = [Weighed(f"block-{index}", gas) for index, gas in enumerate(gas)]
    shares = pack(weighed, 16)
    of = {it.name: it.gas for it in weighed}
    loads = [sum(of[name] + OVERHEAD for name in share) for share in shares]
    assert max(loads) - min(loads) <= max(gas) + OVERHEAD
    assert sorted(name for share in shares for name in share) == sorted(of)
    assert pack(reversed(weighed), 16) == shares
    # Counts are not even: that is the point.
    assert max(map(len, shares)) - min(map(len, shares)) > 1
    # Neighbours of equal gas are spread.
    equal = pack([Weighed(f"block-{index}", 1) for index in range(64)], 4)
    assert all(sorted(share) != [f"block-{index}" for index in range(4 * 16)] for share in equal)
    assert pack(weighed[:3], 16) == [[it.name] for it in sorted(weighed[:3], key=lambda it: -it.gas)]


def test_each_partition_has_a_number_that_goes_there() -> None:
    assert keys([2, 0, 2, 1], 3) == [1, 3, 0]
    with pytest.raises(ValueError, match="too few"):
        keys([0, 0], 2)


def test_the_estimate_is_the_gas_of_the_header(blocks: Path) -> None:
    from braid_evm._native import gas_estimate

    for name in ("a.json", "b.json.gz", "c.json.zst"):
        wanted = braid_evm.execute(blocks / name).gas
        assert gas_estimate(str(blocks / name)) == wanted
        assert gas_estimate((blocks / name).read_bytes()) == wanted
    assert gas_estimate(b"{") is None and gas_estimate("nowhere") is None
    assert gas_estimate(json.dumps(block()).encode()) == int(block()["block"]["gasUsed"], 16)
