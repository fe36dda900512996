"""The recipes for containers and Kubernetes: what a machine without either can check."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from cluster import command
from test_docs import ROOT

import braid_evm

pytest.importorskip("pyspark", reason="PySpark is not installed: cargo xtask python --spark")
validate = pytest.importorskip("kubernetes_validate")
yaml = pytest.importorskip("yaml")

from braid_evm.spark import submit
from braid_evm.spark.__main__ import WRONG, _parser

FOLDER = ROOT / "crates/python/deploy"


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def of_kind(name: str, kind: str) -> Any:
    [found] = [it for it in documents(name) if it["kind"] == kind]
    return found


@pytest.mark.parametrize(("name", "least"), [("namespace.yaml", 4), ("job.yaml", 3)])
def test_manifests_are_those_of_kubernetes(name: str, least: int) -> None:
    found = documents(name)
    assert len(found) == least
    for document in found:
        validate.validate(document, "1.32", strict=True)
    broken = {**found[0], "metadata": {"nam": "x"}}
    with pytest.raises(validate.ValidationError):
        validate.validate(broken, "1.32", strict=True)


def test_manifests_have_no_lint() -> None:
    rules = "{extends: default, rules: {line-length: {max: 120}, document-start: disable}}"
    files = map(str, FOLDER.glob("*.yaml"))
    done = subprocess.run([command("yamllint"), "-s", "-d", rules, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_job_is_one_that_the_command_takes() -> None:
    account = of_kind("namespace.yaml", "ServiceAccount")["metadata"]["name"]
    claim = of_kind("job.yaml", "PersistentVolumeClaim")["metadata"]["name"]
    service = of_kind("job.yaml", "Service")
    template = of_kind("job.yaml", "Job")["spec"]["template"]
    pod = template["spec"]
    [container] = pod["containers"]
    args = _parser().parse_args(container["args"])
    conf = dict(setting.split("=", 1) for setting in args.conf)
    assert args.command == "verify" and args.master.startswith("k8s://")
    assert conf["spark.kubernetes.container.image"] == container["image"]
    assert pod["serviceAccountName"] == account
    assert conf["spark.kubernetes.authenticate.serviceAccountName"] == account
    assert conf["spark.kubernetes.executor.volumes.persistentVolumeClaim.data.options.claimName"] == claim
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    ports = {conf["spark.driver.port"], conf["spark.driver.blockManager.port"]}
    assert {str(it["port"]) for it in service["spec"]["ports"]} == ports
    assert conf["spark.driver.host"].split(".")[0] == service["metadata"]["name"]


def test_a_finished_job_is_not_started_again() -> None:
    job = of_kind("job.yaml", "Job")["spec"]
    pod = job["template"]["spec"]
    [rule] = job["podFailurePolicy"]["rules"]
    assert rule["action"] == "FailJob" and job["backoffLimit"] > 0
    codes = {"containerName": pod["containers"][0]["name"], "operator": "In", "values": [WRONG]}
    assert rule["onExitCodes"] == codes
    # Kubernetes refuses the policy with any other; its schema does not say so.
    assert pod["restartPolicy"] == "Never"
    application = of_kind("spark-application.yaml", "SparkApplication")["spec"]
    assert application["restartPolicy"] == {"type": "Never"}


def test_the_application_of_the_operator_is_one_that_the_command_takes() -> None:
    application = of_kind("spark-application.yaml", "SparkApplication")["spec"]
    args = _parser().parse_args(application["arguments"])
    assert args.command == "verify" and args.input.startswith("hdfs://")
    account = of_kind("namespace.yaml", "ServiceAccount")["metadata"]["name"]
    assert application["driver"]["serviceAccount"] == account
    # The install script puts the application where the manifest says it is.
    assert application["mainApplicationFile"] == f"local:///opt/braid-spark/{Path(submit.__file__).name}"
    assert '"$home/submit.py"' in (FOLDER / "install.sh").read_text()
    import pyspark

    assert application["sparkVersion"].split(".")[0] == pyspark.__version__.split(".")[0]


def test_the_pods_of_spark_find_their_classes() -> None:
    import pyspark

    jars = {it.name.split("_")[0] for it in Path(pyspark.__file__).parent.glob("jars/spark-*.jar")}
    assert "spark-kubernetes" in jars
    assert "KubernetesExecutorBackend" in (FOLDER / "entrypoint.sh").read_text()


@pytest.mark.parametrize("name", ["install.sh", "entrypoint.sh"])
def test_scripts_are_read_by_the_shell(name: str) -> None:
    subprocess.run(["sh", "-n", str(FOLDER / name)], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", str(FOLDER / name)], check=True)


def rows(output: Path) -> int:
    return sum(pq.read_table(it).num_rows for it in output.glob("part=*/*.parquet"))


def test_two_commands_suffice(tmp_path: Path) -> None:
    """Into a folder of the test's, as the second one of a page does: what it needs comes from PyPI."""
    bin, blocks = tmp_path / "bin", tmp_path / "blocks"
    wheel = os.environ.get("BRAID_WHEEL")
    if wheel is None:
        pytest.skip("BRAID_WHEEL does not name the wheel: run cargo xtask python --spark")
    env = {**os.environ, "BRAID_HOME": str(tmp_path / "home"), "BRAID_BIN": str(bin)}
    done = subprocess.run(["sh", FOLDER / "install.sh", wheel], check=True, env=env, capture_output=True, text=True)
    for what in ("an environment of Python", "PySpark", "braid-spark and spark-submit", "braid-spark is there"):
        assert what in done.stdout, done.stdout
    assert {it.name for it in bin.iterdir()} == {"braid-spark", "spark-submit"}
    blocks.mkdir()
    for seed in range(3):
        braid_evm.generate_file(blocks / f"{seed}.json.zst", "erc20", txs=20, seed=seed)
    subprocess.run([bin / "braid-spark", "verify", blocks, tmp_path / "out"], check=True, env=env)
    assert rows(tmp_path / "out") == 3
    # Not where this script's environment has a Spark of its own to be found.
    bare = {**env, "PATH": "/usr/local/bin:/usr/bin:/bin"}
    bare.pop("PYSPARK_PYTHON", None)
    submit: list[str | Path] = [bin / "spark-submit", "--master", "local[2]", tmp_path / "home/submit.py"]
    subprocess.run([*submit, "verify", blocks, tmp_path / "submitted"], check=True, env=bare)
    assert rows(tmp_path / "submitted") == 3


def test_the_container_recipe_has_no_lint() -> None:
    recipe = FOLDER / "Containerfile"
    # Versions of Debian's packages are those of the image's release; the wheel names those of Python's.
    done = subprocess.run([command("hadolint"), str(recipe)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    for line in recipe.read_text().splitlines():
        if line.startswith("COPY"):
            sources = [it for it in line.split()[1:-1] if not it.startswith("--") and "*" not in it]
            assert sources and all((FOLDER / it).exists() for it in sources)


def test_the_entry_runs_the_command(tmp_path: Path) -> None:
    script = (FOLDER / "entrypoint.sh").read_text()
    bin = Path(command("braid-spark")).parent
    entry = tmp_path / "entrypoint.sh"
    entry.write_text(script.replace("/opt/braid-spark/bin", str(bin)))
    done = subprocess.run(["sh", entry, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "examples:" in done.stdout
