//! Timelines of simulated workers.

use super::Subject;
use crate::support::fixtures;
use braid_blocks::{block_file::BlockFile, workload::Preset};
use braid_cli::page::{How, Run, Timeline, What};

const PRESETS: [Preset; 8] = [
    Preset::Raw,
    Preset::Erc20,
    Preset::Erc20Hot,
    Preset::Swaps,
    Preset::OnePool,
    Preset::Mainnet,
    Preset::NftGame,
    Preset::RollupBatch,
];

/// Checks the properties of every timeline.
fn check(subject: &Subject, workers: usize) {
    let Timeline { runs, batches, spans, commits, end, .. } = &subject.simulated.timeline;
    let prices = subject.prices();
    // Runs and spans cover the time of each worker without overlaps.
    for worker in 0..workers {
        let runs = runs.iter().filter(|run| run.worker == worker);
        let mut busy: Vec<(u64, u64)> = runs.map(|run| (run.begin, run.end)).collect();
        let spans = spans.iter().filter(|span| span.worker == worker);
        busy.extend(spans.map(|span| (span.begin, span.end)));
        busy.sort_unstable();
        let mut until = 0;
        for (begin, ended) in busy {
            assert_eq!(begin, until, "worker {worker}");
            until = ended;
        }
        assert_eq!(until, *end, "worker {worker}");
    }
    assert!(runs.iter().all(|run| run.worker < workers));
    // One run of each transaction counts. It takes the transaction's cost, and has ended when the
    // transaction commits, in order.
    let mut last = 0;
    for (transaction, commit) in commits.iter().enumerate() {
        let of_it = runs.iter().filter(|run| run.transaction == transaction);
        let (counted, wasted): (Vec<&Run>, Vec<&Run>) =
            of_it.partition(|run| run.how == How::Committed);
        assert_eq!(counted.len(), 1, "transaction {transaction}");
        let counted = counted[0];
        // Starting a run takes time, too.
        let took = counted.end - counted.begin;
        assert!((prices[transaction]..=prices[transaction] + 1_000).contains(&took), "{counted:?}");
        let commit = commit.unwrap_or_else(|| panic!("{counted:?} is not committed"));
        assert!(counted.end <= commit && commit >= last && commit <= *end, "{counted:?}");
        last = commit;
        // Blocked and aborted runs started before the run that counts.
        assert!(wasted.iter().all(|run| run.begin < counted.end), "{wasted:?}");
        assert_eq!(counted.earlier + 1, wasted.len() + 1 - later(&wasted, counted.end));
    }
    for batch in batches {
        let inside = runs.iter().filter(|run| {
            run.worker == batch.worker
                && batch.begin <= run.begin
                && run.end <= batch.end
                && (batch.first..batch.last).contains(&run.transaction)
        });
        assert_eq!(inside.count(), batch.transactions, "{batch:?}");
    }
    assert_eq!(subject.simulated.sequential, prices.iter().sum::<u64>());
    let speedup = subject.simulated.speedup(workers).expect("simulated");
    assert!(speedup <= workers as f64 + 1e-9, "{speedup} on {workers}");
}

/// Returns the number of runs that ended after the one that counts.
fn later(wasted: &[&Run], end: u64) -> usize {
    wasted.iter().filter(|run| run.end > end).count()
}

#[test]
fn a_timeline_accounts_for_every_run_and_for_all_time() {
    for preset in PRESETS {
        for workers in [2, 4, 16] {
            println!("{preset:?} on {workers} workers");
            check(&Subject::new(preset, 300, workers), workers);
        }
    }
}

/// Blocks whose segments use different strategies, including sequential segments after a fallback.
#[test]
fn a_timeline_of_a_real_block_accounts_for_all_time() {
    let Some(folder) = fixtures() else { return };
    for number in [13_217_637, 15_538_827, 17_666_333] {
        let path = folder.join(format!("mainnet-{number}.json.zst"));
        let file = BlockFile::read(&path).expect("a real block");
        for workers in [2, 16] {
            println!("{number} on {workers} workers");
            check(&Subject::of(&file, workers), workers);
        }
    }
}

#[test]
fn the_same_block_has_the_same_timeline() {
    for preset in [Preset::Mainnet, Preset::NftGame, Preset::Swaps] {
        let timeline = || Subject::new(preset, 200, 8).simulated.timeline;
        assert_eq!(timeline(), timeline(), "{preset:?}");
    }
}

#[test]
fn one_worker_runs_one_transaction_after_the_other() {
    for preset in [Preset::Swaps, Preset::OnePool] {
        let subject = Subject::new(preset, 50, 1);
        let Timeline { runs, end, commits, .. } = &subject.simulated.timeline;
        let order: Vec<usize> = runs.iter().map(|run| run.transaction).collect();
        assert_eq!(order, (0..50).collect::<Vec<_>>());
        assert_eq!(*end, subject.prices().iter().sum::<u64>());
        assert_eq!(commits.last().copied().flatten(), Some(*end));
        assert_eq!(subject.simulated.speedup(1), Some(1.0));
    }
}

#[test]
fn independent_work_is_shared_and_a_chain_is_not() {
    let swaps = Subject::new(Preset::Swaps, 200, 4);
    assert!(swaps.simulated.speedup(4) > Some(3.0), "{:?}", swaps.simulated.times);
    for worker in 0..4 {
        assert!(swaps.simulated.timeline.runs.iter().any(|run| run.worker == worker));
    }
    let pool = Subject::new(Preset::OnePool, 200, 4);
    assert!(pool.simulated.speedup(4) < Some(1.5), "{:?}", pool.simulated.times);
    let waiting = |subject: &Subject| {
        let waits = subject.simulated.timeline.spans.iter().filter(|it| it.what == What::Wait);
        waits.map(|span| span.end - span.begin).sum::<u64>()
    };
    let share = |subject: &Subject| waiting(subject) as f64 / subject.simulated.timeline.end as f64;
    assert!(share(&pool) > share(&swaps), "{} and {}", share(&pool), share(&swaps));
}

#[test]
fn wasted_runs_are_seen_where_transactions_conflict() {
    let fights = Subject::new(Preset::NftGame, 400, 8);
    let runs = &fights.simulated.timeline.runs;
    assert!(runs.iter().any(|run| run.how == How::Aborted), "{} runs", runs.len());
    let swaps = Subject::new(Preset::Swaps, 200, 8);
    assert!(swaps.simulated.timeline.runs.iter().all(|run| run.how == How::Committed));
    assert!(!swaps.simulated.timeline.batches.is_empty());
}
