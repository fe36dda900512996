//! Renders each table of `docs/data` into the pages with its marks.

use crate::pages::is_on_page;
use crate::root;
use std::path::{Path, PathBuf};

/// Folder of the tables, with one row per line and columns separated by tabs.
const FOLDER: &str = "docs/data";

/// Returns the files in [`FOLDER`] and its subfolders.
fn files() -> Vec<PathBuf> {
    let mut folders = vec![root().join(FOLDER)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the folder can be read") {
            let path = entry.expect("the folder can be read").path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

fn cells(line: &str) -> Vec<String> {
    line.split('\t').map(str::to_owned).collect()
}

/// Returns the rows of `docs/data/NAME.tsv`, without its header.
pub(crate) fn rows(name: &str) -> Vec<Vec<String>> {
    let path = root().join(FOLDER).join(format!("{name}.tsv"));
    let text = std::fs::read_to_string(path).expect("the table is there");
    text.lines().skip(1).map(cells).collect()
}

/// Renders the table in Markdown.
fn rendered(text: &str) -> Result<String, String> {
    let mut lines = text.lines();
    let head = lines.next().ok_or("it is empty")?;
    let columns = cells(head).len();
    let mut table = String::new();
    for (index, line) in text.lines().enumerate() {
        let row = cells(line);
        if row.len() != columns {
            return Err(format!("line {}: {} cells, not {columns}", index + 1, row.len()));
        }
        if line.contains('|') {
            return Err(format!("line {}: a bar would end the cell", index + 1));
        }
        table.push_str(&format!("| {} |\n", row.join(" | ")));
        if index == 0 {
            table.push_str(&format!("|{}\n", "---|".repeat(columns)));
        }
    }
    Ok(table)
}

/// Returns the pages with the marks of the table.
fn pages_of(name: &str) -> Vec<String> {
    let mark = format!("<!-- {name}: begin -->");
    let pages = std::fs::read_dir(root().join("docs")).expect("the folder can be read");
    let names = pages.map(|page| page.expect("the folder can be read").file_name());
    let pages = names.map(|name| format!("docs/{}", name.to_string_lossy()));
    let has_mark = |page: &String| {
        let is_page = Path::new(page).extension().is_some_and(|ending| ending == "md");
        let text = || std::fs::read_to_string(root().join(page)).expect("the page can be read");
        is_page && text().contains(&mark)
    };
    let found: Vec<String> = pages.chain(["README.md".to_owned()]).filter(has_mark).collect();
    assert!(!found.is_empty(), "{name}: no page has its marks");
    found
}

#[test]
fn each_table_is_on_its_pages() {
    let files = files();
    assert!(!files.is_empty());
    for file in files {
        assert!(file.extension().is_some_and(|ending| ending == "tsv"), "{}", file.display());
        let text = std::fs::read_to_string(&file).expect("the table can be read");
        let table = rendered(&text).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
        let name = file.file_stem().expect("a file").to_string_lossy().into_owned();
        for page in pages_of(&name) {
            is_on_page(&page, &name, &table);
        }
    }
}

#[test]
fn a_table_that_is_cut_or_has_bars_is_refused() {
    assert_eq!(rendered("a\tb\n1\t2\n").as_deref(), Ok("| a | b |\n|---|---|\n| 1 | 2 |\n"));
    assert!(rendered("a\tb\n1\n").is_err());
    assert!(rendered("a\tb\n1\t2|3\n").is_err());
    assert!(rendered("").is_err());
}
