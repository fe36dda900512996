//! Runs loom tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs `story` under every schedule with at most `preemptions` preemptions, or more if
/// `LOOM_MAX_PREEMPTIONS` is higher.
///
/// loom passes silently if it stops early, so the number of executions is printed and must reach
/// `min_executions`.
///
/// # Panics
/// Panics if `story` fails under some schedule, or if too few schedules were explored.
pub(crate) fn explore(
    name: &str,
    preemptions: usize,
    min_executions: usize,
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
    let enough = executions >= min_executions;
    assert!(enough, "{name}: only {executions} executions, expected {min_executions}");
}

/// Runs the ignored test `test` in a separate process, and asserts that it fails with `message`.
/// loom aborts the process on a deadlock instead of unwinding.
#[cfg(feature = "mutants")]
pub(crate) fn assert_fails_alone(test: &str, message: &str) {
    let program = std::env::current_exe().expect("a test knows its program");
    let child = std::process::Command::new(program)
        .args(["--ignored", "--exact", test, "--nocapture"])
        .output()
        .expect("the program starts again");
    let stderr = String::from_utf8_lossy(&child.stderr);
    assert!(!child.status.success(), "{test} passes");
    assert!(stderr.contains(message), "{test} fails, but not with {message}: {stderr}");
}
