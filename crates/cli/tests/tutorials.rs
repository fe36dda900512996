//! The tutorials: their commands print what the pages show. Commands of other pages run too, on
//! blocks with the names used there.

use crate::documented::{executed, run};
use std::path::Path;

#[test]
fn from_a_serial_mint_to_a_parallel_one() {
    assert_eq!(executed("MINT.md"), 7);
}

#[test]
fn a_block_as_a_chain_engineer_reads_it() {
    assert_eq!(executed("BLOCK.md"), 5);
}

/// Returns the lines of the page's shell blocks that call the tool and need neither a node nor real
/// blocks.
fn commands(page: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(page);
    let text = std::fs::read_to_string(path).expect("the page");
    let blocks = text.split("```sh\n").skip(1).filter_map(|part| part.split("```").next());
    let lines = blocks.flat_map(str::lines).filter(|line| line.starts_with("braid "));
    lines.filter(|line| !line.starts_with("braid fetch")).map(str::to_owned).collect()
}

#[test]
fn commands_of_other_pages_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let prepared = "mkdir blocks
        braid gen --workload dex --txs 20 --out block.json
        braid gen --workload dex --txs 20 --out block.json.zst
        braid gen --workload erc20 --txs 20 --out blocks/one.json.zst
        braid gen --workload transfers --txs 20 --out blocks/two.json.zst
        braid run --rounds 1 --emit-bal made block.json.zst
        mv made/block.bal.rlp x.bal.rlp";
    run(prepared, folder.path());
    for (page, count) in
        [("EXPLAIN.md", 4), ("INTEGRATION.md", 6), ("PATHS.md", 2), ("SURVEY.md", 7)]
    {
        let commands = commands(page);
        assert_eq!(commands.len(), count, "{page}: {commands:?}");
        for command in commands {
            assert!(!run(&command, folder.path()).trim().is_empty(), "{page}: {command}");
        }
    }
    for made in ["lists/one.bal.rlp", "report.html", "survey.html"] {
        assert!(folder.path().join(made).exists(), "{made}");
    }
}
