//! Checks imports between files: no cycles, and one direction between the rooms of `evm`.

use super::architecture::{Source, sources};
use super::circles::CIRCLES;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Rooms of `evm`, each with the rooms that it may import, which are above it in this table. A room
/// is a folder or one of the files named here. Every other file of `evm` is a driver: it may import
/// all rooms, and no room imports a driver.
const ROOMS: [(&str, &[&str]); 7] = [
    ("fees", &[]),
    ("bal", &["fees"]),
    ("exec", &["fees", "bal"]),
    ("plan", &["bal", "exec"]),
    ("block", &["bal", "exec", "plan"]),
    ("bundle", &["fees", "bal", "exec", "block"]),
    ("engine", &["fees", "bal", "exec", "block", "bundle"]),
];

/// Source folders of the workspace's crates. The files of each must not import each other in a
/// cycle.
const CRATES: [&str; 13] = [
    "src",
    "crates/blocks/src",
    "crates/chain/src",
    "crates/cli/src",
    "crates/node/src",
    "fuzz/src",
    "models/src",
    "lab/shards/src",
    "lab/testkit/src",
    "crates/python/src",
    "lab/testkit/toy/src",
    "lab/tool/src",
    "xtask/src",
];

/// A path in the source: `crate::a::B` is `["crate", "a", "B"]`.
type Segments = Vec<String>;

/// Names in a file.
#[derive(Default)]
struct Named {
    /// All paths that begin with `crate`, `super` or `self`, and all paths of a `use`.
    paths: Vec<Segments>,
    /// Imported names, with the paths that they stand for.
    uses: BTreeMap<String, Segments>,
}

/// Splits `text` into words, `::`, and single characters. Comments are left out.
fn tokens(text: &str) -> Vec<&str> {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let mut found = Vec::new();
    for line in text.lines() {
        let mut rest = line.split("//").next().unwrap_or_default().trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if is_word(first) {
                rest.find(|letter| !is_word(letter)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            let (token, after) = rest.split_at(length);
            found.push(token);
            rest = after.trim_start();
        }
    }
    found
}

/// Takes the tree of paths at the start of `rest`, and adds its leaves with their names.
fn take_tree<'t>(rest: &mut &[&'t str], before: &[&'t str], leaves: &mut Vec<(String, Segments)>) {
    let mut path = before.to_vec();
    loop {
        match **rest {
            ["{", ..] => {
                *rest = &rest[1..];
                while !matches!(**rest, [] | ["}", ..]) {
                    take_tree(rest, &path, leaves);
                    *rest = rest.strip_prefix(&[","]).unwrap_or(rest);
                }
                *rest = rest.get(1..).unwrap_or_default();
                return;
            }
            [name, "::", ..] => {
                path.push(name);
                *rest = &rest[2..];
            }
            [name, ..] => {
                *rest = &rest[1..];
                if !matches!(name, "self" | "*" | "<") {
                    path.push(name);
                }
                let mut given = path.last().copied().unwrap_or_default();
                if let ["as", alias, ..] = **rest {
                    given = alias;
                    *rest = &rest[2..];
                }
                leaves.push((given.to_owned(), path.into_iter().map(str::to_owned).collect()));
                return;
            }
            [] => return,
        }
    }
}

fn named(text: &str) -> Named {
    let tokens = tokens(text);
    let (mut named, mut at) = (Named::default(), 0);
    while let Some(token) = tokens.get(at) {
        let (before, after) = (&tokens[..at], &tokens[at + 1..]);
        let is_path = matches!(*token, "crate" | "super" | "self")
            && after.first() == Some(&"::")
            // `$crate::` refers to another crate, and `pub(in crate::evm)` names no file.
            && !matches!(before, [.., "$" | "::"] | [.., "(", "in"]);
        let is_use = *token == "use";
        let mut rest = &tokens[at + usize::from(is_use)..];
        if is_use || is_path {
            let mut leaves = Vec::new();
            take_tree(&mut rest, &[], &mut leaves);
            // A re-export is not an import: a file that uses it imports the original file.
            if !is_use || !matches!(before, [.., "pub" | ")"]) {
                named.paths.extend(leaves.iter().map(|(_, path)| path.clone()));
            }
            if is_use {
                named.uses.extend(leaves);
            }
            at = tokens.len() - rest.len();
        } else {
            at += 1;
        }
    }
    named
}

/// Modules, each with its file and the names in it.
struct Modules(BTreeMap<Segments, (String, Named)>);

impl Modules {
    fn of(sources: &[Source]) -> Self {
        let shipped = sources.iter().filter(|source| !source.is_test());
        let module = |source: &Source| {
            let path = source.path.strip_suffix(".rs").expect("it is Rust");
            let path = path.split('/').filter(|name| !matches!(*name, "mod" | "lib"));
            let name = path.map(str::to_owned).collect::<Segments>();
            (name, (source.path.clone(), named(source.shipped())))
        };
        Self(shipped.map(module).collect())
    }

    /// Returns the module of the file that defines `path` as seen from `from`, following
    /// re-exports. Returns `None` if another crate defines it.
    fn resolve(&self, from: &[String], path: &[String], depth: usize) -> Option<Segments> {
        let mut module = from.to_vec();
        let (first, after) = path.split_first()?;
        let rest = match first.as_str() {
            "crate" => {
                module.clear();
                after
            }
            "self" => after,
            "super" => path,
            child => {
                let is_child = self.0.contains_key(&[from, &[child.to_owned()]].concat());
                is_child.then_some(path)?
            }
        };
        for (place, name) in rest.iter().enumerate() {
            if name == "super" {
                module.pop();
                continue;
            }
            let child = [&*module, std::slice::from_ref(name)].concat();
            if self.0.contains_key(&child) {
                module = child;
                continue;
            }
            let reexport = self.0.get(&module).and_then(|(_, named)| named.uses.get(name));
            let Some(reexport) = reexport.filter(|_| depth < 8) else { break };
            let whole = [&**reexport, &rest[place + 1..]].concat();
            return self.resolve(&module, &whole, depth + 1).or(Some(module));
        }
        Some(module)
    }

    /// Returns the files that each file imports.
    fn imports(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let imports = self.0.iter().map(|(module, (file, named))| {
            let defined = named.paths.iter().filter_map(|path| self.resolve(module, path, 0));
            let files = defined.filter_map(|module| self.0.get(&module)).map(|(path, _)| &**path);
            (&**file, files.filter(|other| other != file && *other != "lib.rs").collect())
        });
        imports.collect()
    }
}

/// A file in a cycle.
struct Circle<'f> {
    /// All files that reach it and that it reaches.
    members: BTreeSet<&'f str>,
    /// The shortest path back to the file.
    way: Vec<&'f str>,
}

/// Returns the files in cycles.
fn circles<'f>(imports: &BTreeMap<&'f str, BTreeSet<&'f str>>) -> BTreeMap<&'f str, Circle<'f>> {
    // Each reached file, with its predecessor.
    let reached = |from: &'f str| {
        let (mut reached, mut queue) = (BTreeMap::new(), VecDeque::from([from]));
        while let Some(file) = queue.pop_front() {
            for other in imports.get(file).into_iter().flatten() {
                if !reached.contains_key(other) {
                    reached.insert(*other, file);
                    queue.push_back(other);
                }
            }
        }
        reached
    };
    let all: BTreeMap<_, _> = imports.keys().map(|file| (*file, reached(file))).collect();
    let is_back = |file: &str, other: &str| all.get(other).is_some_and(|it| it.contains_key(file));
    let mut found = BTreeMap::new();
    for (file, reached) in all.iter().filter(|(file, reached)| reached.contains_key(*file)) {
        let members = reached.keys().copied().filter(|other| is_back(file, other)).collect();
        let mut way = vec![*file, reached[file]];
        while way.last() != Some(file) {
            way.push(reached[way[way.len() - 1]]);
        }
        way.reverse();
        found.insert(*file, Circle { members, way });
    }
    found
}

/// Returns the room of a file of `evm`; `None` for a driver.
fn room(file: &str) -> Option<&str> {
    let below = file.strip_prefix("evm/")?;
    let name = below.split_once('/').map_or(below.strip_suffix(".rs")?, |(folder, _)| folder);
    let known = ROOMS.iter().any(|(room, _)| *room == name);
    assert!(known || !below.contains('/'), "{file}: an unknown room");
    known.then_some(name)
}

/// Returns the imports between files that the table of rooms forbids.
fn wrong_ways<'f>(imports: &BTreeMap<&'f str, BTreeSet<&'f str>>) -> Vec<(&'f str, &'f str)> {
    let mut wrong = Vec::new();
    for (from, others) in imports {
        let Some(own) = room(from) else { continue };
        let may = ROOMS.iter().filter(|(name, _)| *name == own).flat_map(|(_, may)| *may);
        let may: Vec<&str> = may.copied().chain([own]).collect();
        let is_fine = |to: &&&str| match room(to) {
            Some(other) => may.contains(&other),
            None => !to.starts_with("evm/"),
        };
        wrong.extend(others.iter().filter(|to| !is_fine(to)).map(|to| (*from, *to)));
    }
    wrong
}

#[test]
fn files_import_each_other_in_no_circle() {
    let mut wrong = BTreeSet::new();
    for root in CRATES {
        let modules = Modules::of(&sources(root));
        let imports = modules.imports();
        let count: usize = imports.values().map(BTreeSet::len).sum();
        // Fewer than one import per file would mean that the parser misses them.
        assert!(count >= imports.len(), "{root}: only {count} imports");
        let circles = circles(&imports);
        let excepted = || CIRCLES.iter().filter(|(of, ..)| *of == root);
        for (file, Circle { members, way }) in &circles {
            let known = excepted().find(|(_, files, _)| files.contains(file));
            let is_known =
                known.is_some_and(|(_, files, _)| members.iter().all(|it| files.contains(it)));
            if !is_known {
                let (count, way) = (members.len(), way.join(" -> "));
                wrong.insert(format!("{root}: {count} files, as {way}"));
            }
        }
        for (_, files, why) in excepted() {
            for file in *files {
                assert!(circles.contains_key(file), "{file} is in no circle any more ({why})");
                assert!(root != "src" || room(file).is_none(), "a room has no circles: {file}");
            }
        }
    }
    assert!(wrong.is_empty(), "files import each other in circles: {wrong:#?}");
}

#[test]
fn rooms_import_one_way() {
    for (place, (room, may)) in ROOMS.iter().enumerate() {
        let above: Vec<&str> = ROOMS[..place].iter().map(|(room, _)| *room).collect();
        assert!(may.iter().all(|other| above.contains(other)), "{room} is above what it imports");
    }
    let modules = Modules::of(&sources("src"));
    let imports = modules.imports();
    for (name, _) in ROOMS {
        assert!(imports.keys().any(|file| room(file) == Some(name)), "there is no room {name}");
    }
    let wrong = wrong_ways(&imports);
    assert!(wrong.is_empty(), "rooms of `evm` import what they must not: {wrong:?}");
}

fn seeded(files: &[(&str, &str)]) -> Modules {
    let source =
        |(path, text): &(&str, &str)| Source { path: (*path).into(), text: (*text).into() };
    Modules::of(&files.iter().map(source).collect::<Vec<_>>())
}

#[test]
fn a_seeded_circle_is_found() {
    let with = |last| {
        let files = [
            ("lib.rs", "mod a;\nmod b;\npub use b::C;\n"),
            ("a.rs", "use crate::{\n    b::{self, C as D, d::{e, F}},\n};\npub struct A;\n"),
            ("b/mod.rs", "mod c;\nmod d;\npub(crate) use c::C;\n"),
            ("b/c.rs", last),
            ("b/d.rs", "// use crate::a::A;\npub(in crate::a) struct F; // $crate::a\n"),
        ];
        let modules = seeded(&files);
        let imports = modules.imports();
        assert_eq!(imports["a.rs"], ["b/c.rs", "b/d.rs", "b/mod.rs"].into());
        assert!(imports["b/mod.rs"].is_empty() && imports["b/d.rs"].is_empty());
        let found = circles(&imports).into_iter();
        found.map(|(file, circle)| (file.to_owned(), circle.way.join(" "))).collect::<Vec<_>>()
    };
    assert_eq!(with("pub struct C;\n#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n"), []);
    let circle = [("a.rs", "a.rs b/c.rs a.rs"), ("b/c.rs", "b/c.rs a.rs b/c.rs")];
    let circle = circle.map(|(file, way)| (file.to_owned(), way.to_owned()));
    for naming in ["use super::super::a::A;", "use crate::a;", "fn f(_: &mut crate::a::A) {}"] {
        assert_eq!(with(naming), circle, "{naming}");
    }
}

#[test]
fn a_seeded_way_back_between_rooms_is_found() {
    let files = [
        ("evm/mod.rs", "pub use exec::x::X;\npub use run::run;\n"),
        ("evm/exec/mod.rs", "pub(super) mod x;\n"),
        ("evm/bundle/mod.rs", "pub(super) mod y;\nmod z;\n"),
        ("evm/run.rs", "use super::bundle::y::Y;\nuse super::exec::x::X;\n"),
        ("evm/exec/x.rs", "use crate::evm::bundle::y::Y;\nuse crate::evm::run;\n"),
        ("evm/bundle/y.rs", "use crate::evm::X;\nuse super::z::Z;\nuse crate::worker::W;\n"),
        ("evm/bundle/z.rs", ""),
        ("worker.rs", ""),
    ];
    let modules = seeded(&files);
    let wrong = wrong_ways(&modules.imports());
    assert_eq!(wrong, [("evm/exec/x.rs", "evm/bundle/y.rs"), ("evm/exec/x.rs", "evm/run.rs")]);
}
