//! Builds the pages into a book with mdbook: README, `docs` and the other pages, in the order of
//! `xtask/book/SUMMARY.md`.

use crate::runner::{Failed, Runner};
use crate::workspace::{cargo, is_there, target_dir};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Version of mdbook whose output the link check knows.
const VERSION: &str = "0.4.52";
/// Pages outside `docs`.
const OTHERS: [&str; 4] = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"];
/// Environment variable that forbids skipping.
const STRICT: &str = "BRAID_REQUIRE_FIXTURES";

/// Builds the book into `book/html` of the target folder, and fails if it has a dead link. Installs
/// mdbook into the target folder if necessary.
pub(crate) fn book(runner: &mut Runner) -> Result<(), Failed> {
    let target = target_dir(runner.root());
    let Some(program) = program(runner, &target)? else { return Ok(()) };
    let folder = target.join("book");
    runner.check("book: pages", |root| assemble(root, &folder))?;
    let mut build = Command::new(program);
    build.arg("build").arg(&folder);
    runner.command("book", build)?;
    runner.check("book: links", |_| links(&folder.join("html")))
}

/// Returns mdbook if it is installed or can be installed.
fn program(runner: &mut Runner, target: &Path) -> Result<Option<PathBuf>, Failed> {
    let folder = target.join("mdbook");
    let own = folder.join("bin/mdbook");
    for program in [own.clone(), PathBuf::from("mdbook")] {
        if is_there(&program, &["--version"]) {
            return Ok(Some(program));
        }
    }
    let line = "install --locked --no-default-features --features search mdbook --version";
    let mut install = cargo(line);
    install.arg(VERSION).arg("--root").arg(&folder);
    // No other build shares its dependencies.
    let build = folder.join("build");
    install.env("CARGO_TARGET_DIR", &build);
    let installed = match env::var_os(STRICT) {
        Some(_) => runner.command("book: mdbook", install),
        None if install.status().is_ok_and(|status| status.success()) => Ok(()),
        None => {
            runner.skip("book", "mdbook cannot be installed here: is there no network?");
            return Ok(None);
        }
    };
    // Build artifacts are useless once mdbook is installed.
    let _ = fs::remove_dir_all(build);
    installed.map(|()| Some(own))
}

/// Copies the pages and pictures into one folder: `docs/A.md` becomes `A.md`.
fn assemble(root: &Path, folder: &Path) -> Result<String, String> {
    let text = |error: std::io::Error| error.to_string();
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(text)?;
    }
    let source = folder.join("src");
    fs::create_dir_all(&source).map_err(text)?;
    let own = root.join("xtask/book");
    fs::copy(own.join("book.toml"), folder.join("book.toml")).map_err(text)?;
    let summary = fs::read_to_string(own.join("SUMMARY.md")).map_err(text)?;
    fs::write(source.join("SUMMARY.md"), &summary).map_err(text)?;
    let mut pages = OTHERS.map(|page| root.join(page)).to_vec();
    for folder in ["docs", "docs/images"] {
        for entry in fs::read_dir(root.join(folder)).map_err(text)? {
            let path = entry.map_err(text)?.path();
            if path.extension().is_some_and(|ending| ending == "md") {
                pages.push(path);
            } else if path.extension().is_some_and(|ending| ending == "svg" || ending == "webp") {
                fs::copy(&path, source.join(path.file_name().unwrap_or_default())).map_err(text)?;
            }
        }
    }
    let names: BTreeSet<String> = pages.iter().map(|page| name_of(root, page)).collect();
    missing(&summary, &names)?;
    for page in &pages {
        let read = fs::read_to_string(page).map_err(text)?;
        // The root's page of this name, as its own folder and `docs` link to it.
        let to_root =
            if page.parent() == Some(root) { "](SECURITY.md" } else { "](../SECURITY.md" };
        let read = read.replace(to_root, &format!("]({REPORTING}"));
        let file = source.join(name_of(root, page));
        fs::write(file, in_one_folder(&read, &names)).map_err(text)?;
    }
    Ok(format!("{} pages", pages.len()))
}

/// Name in the book of the root's `SECURITY.md`: `docs` has a page of that name, too.
const REPORTING: &str = "REPORTING.md";

fn name_of(root: &Path, path: &Path) -> String {
    if path == root.join("SECURITY.md") {
        return REPORTING.to_owned();
    }
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Fails unless the summary lists each page exactly once.
fn missing(summary: &str, names: &BTreeSet<String>) -> Result<(), String> {
    let listed: Vec<&str> =
        summary.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    let listed_once: BTreeSet<String> = listed.iter().map(|page| (*page).to_owned()).collect();
    if listed_once.len() != listed.len() {
        return Err("a page is in the summary twice".to_owned());
    }
    match names.symmetric_difference(&listed_once).next() {
        Some(page) => Err(format!("xtask/book/SUMMARY.md and the pages differ: {page}")),
        None => Ok(()),
    }
}

/// Rewrites the links of a page for a single folder. Links that lead outside the book become plain
/// text.
fn in_one_folder(page: &str, names: &BTreeSet<String>) -> String {
    let parts = page.split("```").enumerate();
    // Parts between fences are code.
    let parts = parts.map(|(at, part)| match at % 2 {
        0 => relinked(part, names),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("```")
}

fn relinked(prose: &str, names: &BTreeSet<String>) -> String {
    let mut rest = prose;
    let mut out = String::new();
    while let Some((before, after)) = rest.split_once("](") {
        let Some((target, behind)) = after.split_once(')') else { break };
        let (path, place) = target.split_once('#').unwrap_or((target, ""));
        let name = path.rsplit('/').next().unwrap_or_default();
        if path.is_empty() || path.starts_with("http") {
            out += &format!("{before}]({target})");
        } else if path.ends_with(".svg") || path.ends_with(".webp") {
            out += &format!("{before}]({name})");
        } else if names.contains(name) {
            let place = if place.is_empty() { String::new() } else { format!("#{place}") };
            out += &format!("{before}]({name}{place})");
        } else {
            // Keep the text of the link, and drop the bracket.
            let at = before.rfind('[').unwrap_or(before.len());
            out += &before[..at];
            out += before.get(at + 1..).unwrap_or_default();
        }
        rest = behind;
    }
    out + rest
}

/// Fails unless each link leads to a file of the book.
fn links(folder: &Path) -> Result<String, String> {
    let (mut pages, mut checked) = (0, 0);
    for entry in fs::read_dir(folder).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        let is_page = path.extension().is_some_and(|ending| ending == "html");
        if !is_page || path.ends_with("print.html") || path.ends_with("404.html") {
            continue;
        }
        pages += 1;
        let html = fs::read_to_string(&path).map_err(|error| error.to_string())?;
        for target in html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let (file, place) = target.split_once('#').unwrap_or((target, ""));
            if file.contains("://") || target.is_empty() {
                continue;
            }
            checked += 1;
            let there = if file.is_empty() { path.clone() } else { folder.join(file) };
            if !there.exists() {
                return Err(format!("{}: {file} is not in the book", path.display()));
            }
            let is_html = there.extension().is_some_and(|ending| ending == "html");
            let found = || fs::read_to_string(&there).unwrap_or_default();
            if is_html && !place.is_empty() && !found().contains(&format!("id=\"{place}\"")) {
                return Err(format!("{}: {file} has no {place:?}", path.display()));
            }
        }
    }
    if pages < 20 || checked < 200 {
        return Err(format!("only {pages} pages and {checked} links"));
    }
    Ok(format!("{pages} pages, {checked} links"))
}

#[cfg(test)]
mod tests {
    use super::{assemble, in_one_folder, missing};
    use crate::workspace::root;
    use std::collections::BTreeSet;

    #[test]
    fn links_are_those_of_one_folder() {
        let names: BTreeSet<String> = ["README.md", "A.md"].map(str::to_owned).into();
        let page = "[a](docs/A.md#b), [c](../README.md), [d](examples) ![e](docs/images/f.svg) [g](#h)\n\
                    ```\n[x](examples)\n``` [i](https://j)";
        let book = "[a](A.md#b), [c](README.md), d ![e](f.svg) [g](#h)\n\
                    ```\n[x](examples)\n``` [i](https://j)";
        assert_eq!(in_one_folder(page, &names), book);
    }

    #[test]
    fn the_summary_has_every_page_once() {
        let names: BTreeSet<String> = ["A.md".to_owned()].into();
        assert_eq!(missing("- [a](A.md)", &names), Ok(()));
        assert!(missing("- [a](A.md)\n- [a](A.md)", &names).is_err());
        assert!(missing("", &names).is_err());
        let folder = root().join("target").join(format!("book-test-{}", std::process::id()));
        let made = assemble(&root(), &folder);
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(made.is_ok(), "{made:?}");
    }
}
