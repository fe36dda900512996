//! Temporary smoke test.
use braid_cli::block_file::BlockFile;
use braid_cli::compare::{Execution, differences};
use braid_evm::{Config, Executor, Policy};
use std::num::NonZeroU16;
use std::sync::Arc;

fn convert(b: &braid_cli::block::Block) -> braid_evm::Block {
    braid_evm::Block {
        cfg: b.cfg.clone(),
        env: b.env.clone(),
        transactions: b.transactions.clone(),
        parent_hash: b.parent_hash,
        parent_beacon_block_root: b.parent_beacon_block_root,
        withdrawals: b.withdrawals.clone(),
        ommers: b.ommers.iter().map(|o| braid_evm::Ommer { beneficiary: o.beneficiary, number: o.number }).collect(),
        rules: braid_evm::ChainRules {
            deposit_contract: b.rules.deposit_contract,
            dao_fork: b.rules.dao_fork.then(|| braid_evm::DaoFork {
                drained: alloy_evm::eth::dao_fork::DAO_HARDFORK_ACCOUNTS.to_vec(),
                beneficiary: alloy_evm::eth::dao_fork::DAO_HARDFORK_BENEFICIARY,
            }),
            block_reward: b.rules.block_reward,
            system_calls: b.rules.system_calls,
        },
    }
}

#[test]
fn all() {
    let dir = std::env::var("BRAID_FIXTURES").unwrap_or("../shared".into()) + "/blocks";
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).filter(|p| { let n = p.to_string_lossy().to_string(); n.ends_with(".json.zst") && !n.contains("witness") }).collect();
    files.sort();
    let only = std::env::var("ONLY").unwrap_or_default();
    let mut bad = 0;
    for workers in [1u16, 2, 3, 8] {
        for policy in [Policy::InOrder, Policy::ForceSpeculative, Policy::Auto] {
            let mut config = Config::with_workers(NonZeroU16::new(workers).unwrap());
            config.policy = policy;
            let mut ex = Executor::new(config).unwrap();
            let (mut inc, mut disc, mut spec, mut n) = (0, 0, 0, 0);
            for p in &files {
                if !p.to_string_lossy().contains(&only) { continue; }
                let file = BlockFile::read(p).unwrap();
                let (block, db) = file.to_block().unwrap();
                let seq = braid_cli::sequential::execute(&block, db.clone()).unwrap();
                let out = match ex.execute(Arc::new(convert(&block)), db) {
                    Ok(o) => o,
                    Err(e) => { println!("{p:?} {workers} {policy:?}: {e}"); bad += 1; continue; }
                };
                let a = Execution { outcomes: vec![], ..Execution::from(&seq) };
                let b = Execution { outcomes: vec![], receipts: &out.receipts, requests: &out.requests, gas_used: out.gas_used, blob_gas_used: out.blob_gas_used, bundle: &out.bundle };
                let d = differences(&a, &b, 4);
                if !d.is_empty() || seq.receipts != out.receipts { bad += 1; println!("{p:?} {workers} {policy:?} {:?} receipts {}", d.lines(), seq.receipts == out.receipts); }
                inc += out.stats.incarnations; disc += out.stats.discarded; spec += out.stats.speculative; n += out.stats.transactions;
            }
            println!("{workers} {policy:?}: txs {n} runs {inc} discarded {disc} speculative {spec}");
        }
    }
    assert_eq!(bad, 0);
}
