//! Running the loom stories.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs `story` under every schedule with at most `preemptions` preemptions, or with more if
/// `LOOM_MAX_PREEMPTIONS` says so.
///
/// loom passes silently when it stops early, so the number of executions is printed and must
/// reach `floor`.
///
/// # Panics
/// Panics if the story fails under some schedule, or if too few schedules were tried.
pub(crate) fn explore(
    name: &str,
    preemptions: usize,
    floor: usize,
    story: impl Fn() + Send + Sync + 'static,
) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.max(Some(preemptions));
    builder.max_branches = builder.max_branches.max(20_000);
    let executions = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&executions);
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        story();
    });
    let executions = executions.load(Ordering::Relaxed);
    println!("{name}: {executions} executions");
    assert!(executions >= floor, "{name}: only {executions} executions, expected {floor}");
}

/// Runs the ignored test `test` of this program in a separate process, and asserts that it fails
/// with `message`: loom cannot unwind from a deadlock, it aborts.
#[cfg(feature = "mutants")]
pub(crate) fn assert_fails_alone(test: &str, message: &str) {
    let program = std::env::current_exe().expect("a test knows its program");
    let child = std::process::Command::new(program)
        .args(["--ignored", "--exact", test, "--nocapture"])
        .output()
        .expect("the program starts again");
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(!child.status.success(), "{test} passes");
    assert!(said.contains(message), "{test} fails, but not with {message}: {said}");
}
