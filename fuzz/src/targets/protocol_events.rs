//! Checks one order of events of one small block: a path through the models, chosen by the input.
//! The models explore all paths of their blocks; this target also draws blocks, limits, plans and
//! hints.

use arbitrary::{Result, Unstructured};
use braid_evm::ids::{Chunk, TxIndex};
use braid_evm::protocol::Waste;
use braid_models::{BlockModel, Kind, LOCATIONS, MOST_TRANSACTIONS, Scenario, Tx, Write};
use stateright::{Expectation, Model};

/// Maximum number of events in a path; every block ends long before.
const LONGEST: usize = 10_000;

pub(super) fn check(bytes: &[u8]) -> core::result::Result<(), String> {
    let mut bytes = Unstructured::new(bytes);
    // Once the bytes are used up, every choice is the first one.
    let workers = bytes.int_in_range(1..=3).unwrap_or(1);
    let scenario = scenario(&mut bytes).unwrap_or_else(|_| Scenario::new(Vec::new()));
    let model = BlockModel::new(vec![scenario.clone()], workers);
    let properties = model.properties();
    let rules = || properties.iter().filter(|rule| rule.expectation == Expectation::Always);
    let mut states = model.init_states();
    let mut state = states.pop().ok_or("the model has no beginning")?;
    let mut path = Vec::new();
    for _ in 0..LONGEST {
        if let Some(rule) = rules().find(|rule| !(rule.condition)(&model, &state)) {
            return Err(format!("BROKEN: {}\n{scenario:#?}\n{path:#?}", rule.name));
        }
        let mut actions = Vec::new();
        model.actions(&state, &mut actions);
        if model.is_terminal(&state) {
            return Ok(());
        }
        let last = actions.len().saturating_sub(1);
        let action = actions[bytes.int_in_range(0..=last).unwrap_or(0)];
        path.push(action);
        state = model.next_state(&state, action).ok_or("an action leads nowhere")?;
    }
    Err(format!("not over after {LONGEST} events: {scenario:#?}"))
}

fn scenario(bytes: &mut Unstructured<'_>) -> Result<Scenario> {
    let count = bytes.int_in_range(1..=MOST_TRANSACTIONS)?;
    let mut scenario = Scenario::new((0..count).map(|_| tx(bytes)).collect::<Result<_>>()?);
    let limits = &mut scenario.limits;
    limits.window = bytes.int_in_range(1..=5)?;
    limits.job_capacity = bytes.int_in_range(1..=4)?;
    limits.max_speculative_runs = bytes.int_in_range(1..=3)?;
    // Formerly another choice; still drawn so that inputs keep their meaning.
    let unused = *bytes.choose(&[false, false, true])?;
    limits.skip_rejected = bytes.ratio(1, 2)?;
    limits.shared_chunks = bytes.ratio(1, 4)?;
    scenario.may_cancel = bytes.ratio(1, 8)?;
    if bytes.ratio(1, 2)? {
        let mut end = 0;
        while (end as usize) < count {
            end = (end + bytes.int_in_range(1..=3)?).min(count as u32);
            scenario.chunk_ends.push(end);
        }
    }
    for tx in 1..count as u32 {
        if bytes.ratio(1, 5)? {
            scenario.dependencies.push((tx, bytes.int_in_range(0..=tx - 1)?));
        }
    }
    // Drawn from other values, so that old inputs keep their meaning.
    if scenario.chunk_ends.is_empty() && scenario.limits.window % 2 == 1 {
        scenario.longest.push(count as u32 - 1);
    }
    scenario.stalls = scenario.limits.window >= 4 && scenario.limits.job_capacity == 4;
    if scenario.limits.window == 5 {
        draw_batches(bytes, &mut scenario, unused)?;
    }
    Ok(scenario)
}

/// Puts the transactions into private batches.
fn draw_batches(bytes: &mut Unstructured<'_>, scenario: &mut Scenario, unused: bool) -> Result<()> {
    let (mut first, end) = (TxIndex(0), TxIndex(scenario.txs.len() as u32));
    while first < end {
        let next = TxIndex(bytes.int_in_range(first.0 + 1..=end.0)?);
        scenario.batches.push(Chunk { first, end: next });
        first = next;
    }
    scenario.chunk_ends.clear();
    scenario.dependencies.clear();
    scenario.longest.clear();
    scenario.grouped = bytes.ratio(1, 3)?;
    // Formerly other choices.
    bytes.ratio(1, 4)?;
    bytes.choose(&[u32::MAX, 1, 2])?;
    let also_unused = bytes.ratio(1, 4)?;
    if unused && !also_unused {
        bytes.ratio(1, 2)?;
    }
    if bytes.ratio(1, 3)? {
        begin_later(bytes, scenario)?;
    }
    if bytes.ratio(1, 4)? {
        let (runs, commits) = (bytes.int_in_range(0..=2)?, bytes.int_in_range(1..=2)?);
        scenario.limits.fallback = Some(Waste { runs, kept: u32::MAX, commits });
    }
    Ok(())
}

/// Makes an earlier round commit some of the transactions.
fn begin_later(bytes: &mut Unstructured<'_>, scenario: &mut Scenario) -> Result<()> {
    let mut later = scenario.clone();
    let first = bytes.int_in_range(0..=scenario.txs.len() as u32 - 1)?;
    bytes.int_in_range(0..=first)?;
    later.begin_later(first);
    if scenario.run_sequentially().outcomes.len() > first as usize {
        *scenario = later;
    }
    Ok(())
}

fn tx(bytes: &mut Unstructured<'_>) -> Result<Tx> {
    let location = |bytes: &mut Unstructured<'_>| bytes.int_in_range(0..=LOCATIONS - 1);
    let read = if bytes.ratio(3, 4)? { Some(location(bytes)?) } else { None };
    let write = match bytes.int_in_range(0..=7_u8)? {
        0 => Write::Nothing,
        1..=4 => Write::At(location(bytes)?),
        _ => Write::ByValue,
    };
    let kind = match bytes.int_in_range(0..=15_u8)? {
        0 => Kind::NoRoom,
        1 | 2 => Kind::RejectsOdd,
        3 => Kind::RejectsEven,
        4 => Kind::FatalIfOdd,
        5 => Kind::FatalIfEven,
        6 => Kind::ReadsCredits,
        _ => Kind::Plain,
    };
    Ok(Tx { read, write, kind })
}
