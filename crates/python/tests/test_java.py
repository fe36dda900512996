"""The version of Java is checked before a job begins, and before anything is installed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from test_docs import ROOT

from braid_evm.spark import java

OPENJDK = 'openjdk version "{}" 2025-04-15'
OLD = ['java version "1.8.0_402"', OPENJDK.format("11.0.22")]
NEW = [OPENJDK.format("17.0.15"), OPENJDK.format("21"), OPENJDK.format("25-ea")]


def program(path: Path, body: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def fake(folder: Path, says: str) -> Path:
    """A Java in `folder/bin`, which may say something else first."""
    program(folder / "bin/java", f"echo 'Picked up JAVA_TOOL_OPTIONS: -Xmx1g' >&2\necho '{says}' >&2")
    return folder


def install(folder: Path, **variables: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """Runs the script with programs of `folder` before others; what they were asked for."""
    asked = folder / "asked"
    for name in ("apt-get", "ps"):
        program(folder / "bin" / name, f'echo {name} "$@" >> {asked}')
    # Where the first environment would be made, the test ends.
    program(folder / "bin/python3", f'[ "$1" = -c ] && exit 0\necho python3 "$@" >> {asked}\nexit 7')
    environment = {**os.environ, "JAVA_HOME": "", "PATH": f"{folder / 'bin'}:/usr/bin:/bin", **variables}
    script = ["sh", str(ROOT / "crates/python/deploy/install.sh"), "any.whl"]
    done = subprocess.run(script, capture_output=True, text=True, env=environment, check=False)
    return done, asked.read_text() if asked.exists() else ""


@pytest.mark.parametrize("says", NEW)
def test_a_new_java_is_taken(says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "")
    monkeypatch.setenv("PATH", f"{fake(tmp_path, says) / 'bin'}:{os.environ['PATH']}")
    assert java.lacking() is None
    monkeypatch.undo()
    done, asked = install(tmp_path)
    assert done.returncode == 7 and "apt-get" not in asked and "-m venv" in asked, done.stderr


@pytest.mark.parametrize("says", OLD)
def test_an_old_java_is_refused(says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "")
    monkeypatch.setenv("PATH", f"{fake(tmp_path, says) / 'bin'}:{os.environ['PATH']}")
    version = "8" if "1.8" in says else "11"
    assert f"expected Java 17 or newer, found Java {version} at " in str(java.lacking())
    monkeypatch.undo()
    done, asked = install(tmp_path)
    assert "install -y" in asked and "default-jre-headless" in asked and "python3" not in asked
    # A release of Debian whose Java is old.
    assert done.returncode == 2 and f"found Java {version}, Spark needs 17" in done.stderr


def test_java_home_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = fake(tmp_path / "old", OLD[1]), fake(tmp_path / "new", NEW[0])
    monkeypatch.setenv("PATH", f"{new / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("JAVA_HOME", str(old))
    assert "found Java 11" in str(java.lacking()) and "(from JAVA_HOME)" in str(java.lacking())
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nowhere"))
    assert "does not start (No such file or directory)" in str(java.lacking())
    monkeypatch.undo()
    done, asked = install(new, JAVA_HOME=str(old))
    assert done.returncode == 2 and "JAVA_HOME is" in done.stderr and asked == ""
    done, asked = install(old, JAVA_HOME=str(new))
    assert done.returncode == 7 and "apt-get" not in asked, done.stderr


def test_a_java_that_tells_nothing_and_none_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(fake(tmp_path, "Error: no runtime")))
    assert "tells no version" in str(java.lacking())
    monkeypatch.setenv("JAVA_HOME", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "found none: apt-get install" in str(java.lacking())
