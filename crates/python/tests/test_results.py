"""Results and exceptions."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import os
import pickle
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from conftest import CONTRACT, block, calling, other_gas, unknown_fork, without_funds

import braid_evm
from braid_evm import lines
from braid_evm import BraidError, InvalidBlock, StateUnavailable, UnreadableBlock, arrow


def test_every_kind_of_input_gives_the_same(tmp_path: Path) -> None:
    plain = braid_evm.generate("erc20", txs=5)
    path = tmp_path / "block.json.gz"
    path.write_bytes(gzip.compress(plain))
    sources: list[Any] = [
        plain, bytearray(plain), memoryview(plain), gzip.compress(plain), path, str(path), json.loads(plain),
    ]  # fmt: skip
    made = [braid_evm.execute(source, name="it", workers=1) for source in sources]
    assert all((it.gas, it.transactions, it.changes) == (made[0].gas, made[0].transactions, made[0].changes) for it in made)
    assert made[0].hash == json.loads(plain)["block"]["hash"]
    for wrong in (b"x", 3, None, b"path", [plain]):
        with pytest.raises((TypeError, UnreadableBlock)):
            braid_evm.execute(wrong)  # type: ignore[arg-type]


def test_executors_in_use_are_kept() -> None:
    used = lines.engine(1)
    for others in (2, 3, 4, 5, 6):
        lines.engine(others)
        assert lines.engine(1) is used
    assert len(lines._engines) == lines._KEPT


def test_an_execution_adds_up() -> None:
    file = block("erc20", txs=6)
    done = braid_evm.execute(file)
    assert done.gas == sum(it.gas for it in done.transactions) == int(file["block"]["gasUsed"], 16)
    assert [it.gas for it in done.transactions] == file["expected"]["txGasUsed"]
    assert [it.index for it in done.transactions] == list(range(6))
    assert [it.hash for it in done.transactions] == [it["hash"] for it in file["block"]["transactions"]]
    transfer = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
    assert all(it.logs[0].topics[0] == transfer and len(it.logs[0].data) == 32 for it in done.transactions)
    token = done.transactions[0].logs[0].address
    [change] = [it for it in done.changes if it.address == token]
    before, after = (sum(pair[side] for pair in change.storage.values()) for side in (0, 1))
    # Tokens move, none is made.
    assert change.storage and before == after
    ends = [(it.first, it.end) for it in done.segments]
    assert ends[0][0] == 0 and ends[-1][1] == 6
    assert done.stats.workers >= 1 and done.stats.incarnations >= 6


def test_results_do_not_depend_on_workers_and_policy() -> None:
    plain = braid_evm.generate("dex", txs=30, hot=50, signatures=False)
    made = [
        braid_evm.execute(plain, workers=workers, policy=policy)
        for workers in (1, 3)
        for policy in ("auto", "speculative", "contiguous-batches", "sequential")
    ]
    assert all((it.transactions, it.changes) == (made[0].transactions, made[0].changes) for it in made)
    forced = braid_evm.execute(plain, workers=3, policy="speculative")
    assert {it.strategy for it in forced.segments} == {"Speculative"}


def test_an_invalid_block_names_its_transaction() -> None:
    for run in (braid_evm.execute, braid_evm.verify, braid_evm.explain, braid_evm.access_list):
        with pytest.raises(InvalidBlock) as caught:
            run(without_funds(5), name="poor")
        error = caught.value
        assert (error.transaction, error.block, error.txs, error.file) == (5, 25_000_000, 8, "poor")
        assert str(error).startswith("poor: transaction 5")
    built = braid_evm.execute(without_funds(5), mode="build")
    assert [it.status for it in built.transactions].index("skipped") == 5
    assert braid_evm.verify(without_funds(5), mode="build").skipped == 1


def test_an_unreadable_block_names_the_field() -> None:
    for wrong, field in ((b"{", None), (b"\x28\xb5\x2f\xfd\x00", None), (unknown_fork(), "meta.fork"), ({}, "meta")):
        with pytest.raises(UnreadableBlock) as caught:
            braid_evm.execute(wrong)
        assert caught.value.field == field and "expected" in caught.value.reason
    bad = block()
    bad["block"]["transactions"][2]["nonce"] = "x"
    with pytest.raises(UnreadableBlock) as caught:
        braid_evm.verify(bad)
    assert (caught.value.transaction, caught.value.field) == (2, "block.transactions[2].nonce")
    with pytest.raises(UnreadableBlock, match="No such file"):
        braid_evm.verify("nowhere.json")


def test_state_that_the_file_lacks() -> None:
    absent = "0x" + "ab" * 32
    file = calling(absent)
    file["meta"]["absent_codes"] = [absent]
    # PUSH1 5 NUMBER SUB BLOCKHASH POP STOP
    code_hash = "0x5749513a10a2bf17546551726a59eb4a04ffe89bd9e3e2802d9df6b6a3f397da"
    hashes = calling(code_hash)
    hashes["codes"][code_hash] = "0x60054303405000"
    for lacking, what in ((file, absent), (hashes, "block 24999995")):
        for run in (braid_evm.execute, braid_evm.verify, braid_evm.explain, braid_evm.access_list):
            with pytest.raises(StateUnavailable, match=what) as caught:
                run(lacking)
            assert caught.value.transaction == 3
    hashes["block_hashes"] = {"24999995": "0x" + "11" * 32}
    done = braid_evm.execute(hashes)
    assert done.transactions[3].status == "success"
    [change] = [it for it in done.changes if it.address == CONTRACT]
    assert change.after and change.after.balance > 0 and not change.storage


def test_a_code_that_the_file_lacks_makes_it_unreadable() -> None:
    absent = "0x" + "ab" * 32
    for run in (braid_evm.execute, braid_evm.verify, braid_evm.explain, braid_evm.access_list):
        with pytest.raises(UnreadableBlock, match=absent):
            run(calling(absent))


def test_a_difference_is_a_result() -> None:
    done = braid_evm.verify(other_gas())
    assert not done.ok and not done.checks["gasUsed"] and "gasUsed" in done.differences[0]


def test_exceptions_have_one_base_and_can_be_pickled() -> None:
    for wrong in (b"{", without_funds(2)):
        with pytest.raises(BraidError) as caught:
            braid_evm.execute(wrong)
        error = caught.value
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error) and vars(again) == vars(error) and str(again) == str(error)


def test_results_can_be_pickled_and_do_not_change() -> None:
    done = braid_evm.execute(block())
    assert pickle.loads(pickle.dumps(done)) == done
    with pytest.raises(AttributeError):
        done.gas = 1  # type: ignore[misc]


def test_a_mapping_need_not_be_a_dict() -> None:
    file = block()
    wanted = braid_evm.execute(file).gas
    file["meta"] = MappingProxyType(file["meta"])
    assert braid_evm.execute(MappingProxyType(file)).gas == wanted
    file["meta"] = object()
    with pytest.raises(TypeError, match="expected a value that JSON has"):
        braid_evm.execute(file)


def test_a_name_that_is_not_utf_8(tmp_path: Path) -> None:
    file = Path(os.fsdecode(bytes(tmp_path) + b"/\xff.json"))
    file.write_text(json.dumps(block()))
    assert braid_evm.execute(file).file == f"{tmp_path}/\ufffd.json"
    assert arrow.verify([file])["ok"].to_pylist() == [True]
    file.write_text("{")
    with pytest.raises(UnreadableBlock, match="\ufffd.json: expected a block file"):
        braid_evm.execute(file)


def test_numbers_out_of_range_are_no_results() -> None:
    plain = braid_evm.generate("transfers", txs=1, signatures=False)
    for call in (
        lambda: braid_evm.execute(plain, workers=2**16),
        lambda: braid_evm.explain(plain, top=-1),
        lambda: braid_evm.verify(plain, rounds=-1),
        lambda: braid_evm.generate("dex", txs=-1),
    ):
        with pytest.raises(OverflowError):
            call()


def test_wrong_arguments_are_value_errors() -> None:
    plain = braid_evm.generate("transfers", txs=1, signatures=False)
    for call in (
        lambda: braid_evm.execute(plain, workers=0),
        lambda: braid_evm.execute(plain, policy="x"),  # type: ignore[arg-type]
        lambda: braid_evm.generate("x"),  # type: ignore[arg-type]
        lambda: braid_evm.generate("dex", hot=101),
        lambda: braid_evm.explain(plain, for_workers=65),
        lambda: braid_evm.explain(plain, without=["x"]),
        lambda: braid_evm.verify(plain, pause=-1.0),
        lambda: braid_evm.generate_file("x.txt", "dex"),
    ):
        with pytest.raises(ValueError, match="expected"):
            call()


def _gas_in_child(plain: bytes) -> int:
    return braid_evm.execute(plain, workers=2).gas


def test_a_forked_process_has_threads_of_its_own() -> None:
    plain = braid_evm.generate("dex", txs=20, signatures=False)
    gas = braid_evm.execute(plain, workers=2).gas
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(_gas_in_child, (plain,)).get(timeout=120) == gas


def test_an_executor_of_another_process_is_refused() -> None:
    engine = lines.engine(2)
    plain = braid_evm.generate("dex", txs=20, signatures=False)

    def child(connection: Any) -> None:
        try:
            engine.execute(plain, "it")
        except BraidError as error:
            connection.send(str(error))

    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=child, args=(there,))
    process.start()
    assert here.poll(120) and "another process" in here.recv()
    process.join(120)
    assert process.exitcode == 0


def test_a_witness_that_is_given_is_that_beside_the_block(real_blocks: Path, tmp_path: Path) -> None:
    witness = next(real_blocks.glob("mainnet-*.witness.json.zst"))
    block = witness.with_name(witness.name.replace(".witness", ""))
    beside = braid_evm.verify(block).checks
    assert beside["stateRoot"]
    assert "stateRoot" not in braid_evm.verify(block.read_bytes()).checks
    for given in (witness, witness.read_bytes()):
        assert braid_evm.verify(block.read_bytes(), witness=given).checks == beside
    other = sorted(real_blocks.glob("mainnet-*.witness.json.zst"))[-1]
    assert other != witness
    done = braid_evm.verify(block.read_bytes(), witness=other)
    assert not done.checks.get("stateRoot", False)
    for lost in ("nowhere.json.zst", tmp_path, "a\0b"):
        with pytest.raises(braid_evm.UnreadableBlock, match="expected a state witness"):
            braid_evm.verify(block.read_bytes(), witness=lost)
    with pytest.raises(braid_evm.UnreadableBlock, match="parent_state_root"):
        braid_evm.verify(block.read_bytes(), witness=b"{")
