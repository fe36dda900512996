"""The Java that Spark will start, and whether Spark can use it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

#: The oldest version that Spark 4 runs on.
OLDEST = 17

_ADVICE = "apt-get install default-jre-headless (Debian), or set JAVA_HOME"

#: Before version 9 it was called 1.8.
_VERSION = re.compile(r' version "(?:1\.)?(\d+)')


def lacking() -> str | None:
    """Why Spark would find no Java that it can use, or None. Spark looks at JAVA_HOME before PATH."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home, "bin/java")) if home else shutil.which("java")
    wanted = f"expected Java {OLDEST} or newer"
    if java is None:
        return f"{wanted}, found none: {_ADVICE}"
    place = f"{java} (from JAVA_HOME)" if home else java
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        return f"{wanted}, but {place} does not start ({error.strerror}): {_ADVICE}"
    found = _VERSION.search(done.stderr + done.stdout)
    if found is None:
        return f"{wanted}, but {place} tells no version: {_ADVICE}"
    if int(found[1]) < OLDEST:
        return f"{wanted}, found Java {found[1]} at {place}: {_ADVICE}"
    return None
