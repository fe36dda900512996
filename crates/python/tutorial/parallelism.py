# %% [markdown]
# # What limits parallelism in real blocks
#
# This file is a notebook: Jupyter (with jupytext), VS Code and PyCharm open it as one, and `python parallelism.py` runs it.
# It needs `pip install 'braid-evm[spark]' matplotlib`, Java, and a folder of block files with an `index.tsv`.
#
# Three questions: what limits a block, how that changed from fork to fork, and which contracts cost most.

# %%
import csv
import os
import sys
from pathlib import Path

import matplotlib
import pandas as pd
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from braid_evm.spark.job import Job, run

matplotlib.use("Agg")
from matplotlib import pyplot as plt

BLOCKS = Path(os.environ.get("BRAID_BLOCKS", "blocks"))
OUT = Path(os.environ.get("BRAID_TUTORIAL", "tutorial"))
OUT.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# ## The table
#
# `survey` verifies each block and explains what limits it. Spark does not care whether these are 78 blocks on a laptop or
# a million on a cluster: only the master and the paths change. A second run of this cell finds everything there.

# %%
os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
spark = SparkSession.builder.master("local[2]").appName("tutorial").getOrCreate()
report = run(Job("survey", str(BLOCKS), str(OUT / "survey"), rounds=0), spark)
spark.stop()
print(f"{report.rows} blocks, {report.wrong} not ok")

# %% [markdown]
# Costs are in gas, so that the figures are the same on every machine. `work` is the gas of all transactions, `longest` that
# of the longest one, `chain` that of the longest chain of transactions, each in conflict with the next.
# Their ratios say how many times faster than in order a block can run at most:
#
# - `work / longest`: no conflicts at all, and as many workers as one likes;
# - `work / chain`: a transaction begins when all that it depends on have ended;
# - `on_workers` has both for a number of workers.

# %%
table = pq.read_table(OUT / "survey")
blocks = table.select(["file", "block", "txs", "ok", "work", "longest", "chain", "late_read"]).to_pandas()
blocks["file"] = blocks["file"].map(lambda file: Path(file).name)
with (BLOCKS / "index.tsv").open() as lines:
    index = pd.DataFrame(csv.DictReader(lines, delimiter="\t"))[["file", "chain", "fork"]]
blocks = blocks.merge(index.rename(columns={"chain": "network"}), on="file")


def on_workers(number: int, bound: str) -> "list[float]":
    """The bound of each block on that many workers, as a speed-up."""
    rows = table.select(["work", "on_workers"]).to_pylist()
    found = [next(it[bound] for it in row["on_workers"] if it["workers"] == number) for row in rows]
    return [row["work"] / max(cost, 1) for row, cost in zip(rows, found, strict=True)]


for bound in ("no_conflicts", "late_read", "chain"):
    blocks[f"{bound}_16"] = on_workers(16, bound)
main = blocks[(blocks["network"] == "1") & (blocks["txs"] >= 20)].sort_values("block").reset_index(drop=True)
print(main[["no_conflicts_16", "late_read_16", "chain_16"]].describe().loc[["min", "50%", "max"]].round(1))

# %% [markdown]
# ## What limits a block
#
# For each block of the main network with at least 20 transactions: the bound on 16 workers without conflicts (what is
# left is the longest transaction), and with them. Where the two meet, one large transaction is the limit, and no scheduler
# helps. Where they are far apart, conflicts are: here engines, and authors of contracts, can gain something.

# %%
figure, axes = plt.subplots(figsize=(9, 4.2), layout="constrained")
order = main.sort_values("chain_16").reset_index(drop=True)
lost = (order["chain_16"], order["no_conflicts_16"])
axes.vlines(order.index, *lost, color="#d9e2ec", linewidth=5, label="lost to conflicts")
axes.plot(order.index, order["no_conflicts_16"], ".", color="#829ab1", label="no conflicts")
axes.plot(order.index, order["late_read_16"], ".", color="#f0b429", label="late read")
axes.plot(order.index, order["chain_16"], ".", color="#ba2525", label="conflict chain")
axes.axhline(16, color="#bcccdc", linewidth=1)
axes.set(xlabel="blocks, by their conflict chains", ylabel="bound of the speed-up on 16 workers", ylim=(0, 17))
figure.legend(loc="outside upper center", ncols=4, frameon=False)
figure.savefig(OUT / "limits.png", dpi=110)

by_conflicts = (main["chain_16"] < 0.8 * main["no_conflicts_16"]).mean()
by_length = (main["no_conflicts_16"] < 8).mean()
print(f"conflicts cost over a fifth of what is possible in {by_conflicts:.0%} of the blocks")
print(f"the longest transaction alone keeps {by_length:.0%} of the blocks below 8 of 16 workers")

# %% [markdown]
# ## From fork to fork
#
# Each point is a block; the line joins medians. The sample is small and was chosen for being hard, so a median of three
# blocks is no law; but the direction can be seen.

# %%
forks = list(dict.fromkeys(main["fork"]))
figure, axes = plt.subplots(figsize=(9, 4.2), layout="constrained")
for column, color, name in (
    ("no_conflicts_16", "#829ab1", "no conflicts"),
    ("chain_16", "#ba2525", "conflict chain"),
):
    shift = -0.12 if column == "chain_16" else 0.12
    places = [forks.index(fork) + shift for fork in main["fork"]]
    axes.plot(places, main[column], ".", color=color, alpha=0.5)
    medians = main.groupby("fork")[column].median().reindex(forks)
    axes.plot(range(len(forks)), medians, color=color, label=f"{name}, median")
counts = main["fork"].value_counts()
axes.set_xticks(range(len(forks)), [f"{fork.title().replace('_', ' ')}\n{counts[fork]}" for fork in forks], fontsize=8)
axes.tick_params(axis="x", rotation=45)
axes.set(ylabel="bound of the speed-up on 16 workers", ylim=(0, 17))
figure.legend(loc="outside upper center", ncols=4, frameon=False)
figure.savefig(OUT / "forks.png", dpi=110)
print(main.groupby("fork", sort=False)[["no_conflicts_16", "chain_16"]].median().round(1))

# %% [markdown]
# ## Which contracts cost most
#
# Each conflict names an account, and the gas of those transactions of the longest chain that wait there. Summed over all
# blocks, as a share of the gas of all chains. `words` says what the location is: a pool, a balance, a nonce.

# %%
rows = [
    {"account": it["account"], "kind": it["kind"], "gas": it["chain_cost"], "words": it["words"], "file": row["file"]}
    for row in table.select(["file", "conflicts"]).to_pylist()
    for it in row["conflicts"] or []
    if Path(row["file"]).name in set(main["file"])
]
# The most expensive first: an account is called by the kind of its most expensive location.
conflicts = pd.DataFrame(rows).sort_values("gas", ascending=False)
names = {
    "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2": "WETH",
    "0xdac17f958d2ee523a2206206994597c13d831ec7": "USDT",
    "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48": "USDC",
    "0x7a250d5630b4cf539739df2c5dacb4c659f2488d": "Uniswap V2 router",
    "0x000000000004444c5dc75cb358380d2e3de08a90": "Uniswap V4 pools",
}
total = main["chain"].sum()
costs = conflicts.groupby("account").agg(gas=("gas", "sum"), blocks=("file", "nunique"), kind=("kind", "first"))
costs = costs.sort_values("gas", ascending=False).head(12)[::-1]
labels = [
    f"{names.get(account.lower(), account[:8] + '...' + account[-4:])} ({row.kind.replace('_', ' ')})"
    for account, row in costs.iterrows()
]
figure, axes = plt.subplots(figsize=(9, 4.6), layout="constrained")
bars = axes.barh(labels, 100 * costs["gas"] / total, color="#486581")
axes.bar_label(bars, [f"{count} block{'s' if count > 1 else ''}" for count in costs["blocks"]], padding=3, fontsize=8)
axes.set(xlabel="percent of the gas of all longest chains")
axes.margins(x=0.12)
figure.savefig(OUT / "contracts.png", dpi=110)
kinds = (conflicts.groupby("kind")["gas"].sum() / total).sort_values(ascending=False)
print((100 * kinds).round(1).head(6))

# %% [markdown]
# A location that costs much in one block only is one popular mint or one router of a trader; one that costs in many is worth a
# new design. `braid explain --without ACCOUNT` tells for a block what would be gained, docs/EXPLAIN.md what the words mean.
