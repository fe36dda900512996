//! Renders each table of `docs/data` into the page with its marks.

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

/// Returns the page with the marks of the table.
fn page_of(name: &str) -> String {
    let mark = format!("<!-- {name}: begin -->");
    let pages = std::fs::read_dir(root().join("docs")).expect("the folder can be read");
    let pages = pages.map(|page| page.expect("the folder can be read").path());
    let has_mark = |page: &PathBuf| {
        let is_page = page.extension().is_some_and(|ending| ending == "md");
        is_page && std::fs::read_to_string(page).expect("the page can be read").contains(&mark)
    };
    let pages: Vec<PathBuf> = pages.filter(has_mark).collect();
    let [page] = &pages[..] else { panic!("{name}: not one page has its marks: {pages:?}") };
    format!("docs/{}", Path::new(page).file_name().expect("a file").to_string_lossy())
}

#[test]
fn each_table_is_on_its_page() {
    let files = files();
    assert!(!files.is_empty());
    for file in files {
        assert!(file.extension().is_some_and(|ending| ending == "tsv"), "{}", file.display());
        let text = std::fs::read_to_string(&file).expect("the table can be read");
        let table = rendered(&text).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
        let name = file.file_stem().expect("a file").to_string_lossy().into_owned();
        is_on_page(&page_of(&name), &name, &table);
    }
}

#[test]
fn a_table_that_is_cut_or_has_bars_is_refused() {
    assert_eq!(rendered("a\tb\n1\t2\n").as_deref(), Ok("| a | b |\n|---|---|\n| 1 | 2 |\n"));
    assert!(rendered("a\tb\n1\n").is_err());
    assert!(rendered("a\tb\n1\t2|3\n").is_err());
    assert!(rendered("").is_err());
}
