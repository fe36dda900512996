//! Reads callgrind profiles.

use std::collections::BTreeSet;

/// Returns how often functions whose names contain `function` were called, and the instructions of
/// these calls, callees included.
///
/// A call is three lines: the callee (`cfn=(12) name`, with the name only at its first occurrence),
/// the number of calls, and the cost.
pub(super) fn inclusive(profile: &str, function: &str) -> (u64, u64) {
    let mut wanted = BTreeSet::new();
    let (mut calls, mut instructions) = (0, 0);
    let mut called = None;
    let mut count = None;
    for line in profile.lines() {
        let named = line.strip_prefix("fn=").map(|it| (it, false));
        let named = named.or_else(|| line.strip_prefix("cfn=").map(|it| (it, true)));
        if let Some((id_and_name, is_call)) = named {
            let (id, name) = id_and_name.split_once(' ').unwrap_or((id_and_name, ""));
            if name.contains(function) {
                wanted.insert(id);
            }
            called = is_call.then_some(id);
        } else if let Some(rest) = line.strip_prefix("calls=") {
            let is_wanted = called.is_some_and(|id| wanted.contains(id));
            count = rest.split(' ').next().filter(|_| is_wanted);
        } else if let Some(count) = count.take() {
            calls += count.parse().unwrap_or(0);
            let cost = line.split(' ').nth(1).and_then(|cost| cost.parse().ok());
            instructions += cost.unwrap_or(0);
        }
    }
    (calls, instructions)
}

#[cfg(test)]
mod tests {
    use super::inclusive;

    #[test]
    fn calls_of_a_function_are_added_up() {
        let profile = "events: Ir\n\nfn=(1) main\n16 400\ncfn=(2) tool::wanted\ncalls=3 50\n16 900\n\
            cfn=(3) other\ncalls=1 0\n+2 70\n\nfn=(2)\n50 100\ncfn=(3)\ncalls=9 0\n+3 800\n\nfn=(4) more\n\
            cfn=(2)\ncalls=1 50\n* 350\n12 7\n\nfn=(5) of::wanted::kind\n3 4\n";
        assert_eq!(inclusive(profile, "wanted"), (4, 1_250));
        assert_eq!(inclusive(profile, "other"), (10, 870));
        assert_eq!(inclusive(profile, "absent"), (0, 0));
    }
}
