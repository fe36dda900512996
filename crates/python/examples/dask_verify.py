"""Verifies a folder of blocks with Dask, by the function that Spark jobs call: nothing is tied to Spark.

    pip install 'braid-evm[arrow]' 'dask[distributed]'
    python dask_verify.py blocks/ verified.parquet
    python dask_verify.py blocks/ verified.parquet tcp://scheduler:8786
"""

import sys
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
from dask.distributed import Client

from braid_evm import arrow
from braid_evm.sources import expand


def main(folder: str, output: str, scheduler: str | None = None) -> int:
    files = list(expand([folder]))
    batches = [files[first : first + 4] for first in range(0, len(files), 4)]
    verify = partial(arrow.verify, rounds=1, workers=1)
    with Client(scheduler) if scheduler else Client(threads_per_worker=1, dashboard_address=None) as client:
        tables = client.gather(client.map(verify, batches))
    table = pa.concat_tables(tables)
    pq.write_table(table, output)
    wrong = table.num_rows - sum(table["ok"].to_pylist())
    print(f"{output}: {table.num_rows} rows, {wrong} of them not ok")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
