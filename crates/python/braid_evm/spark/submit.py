"""The application for `spark-submit`: `braid-spark`, where the package may come with the job as an archive."""

import sys
from pathlib import Path

#: What the archive is called: `--archives braid_evm.zip#braid_evm_wheel`.
ARCHIVE = "braid_evm_wheel"

if __name__ == "__main__":
    if Path(ARCHIVE).is_dir():
        sys.path.insert(0, ARCHIVE)
    from braid_evm.spark.__main__ import main

    sys.exit(main())
