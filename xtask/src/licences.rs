//! Checks licences and sources of the dependencies, and writes the bill of materials of the shipped
//! tools, from `cargo tree` and `deny.toml` alone. Advisories need cargo-deny: `cargo xtask deny`.

use crate::runner::{Failed, Runner};
use crate::workspace::{cargo, output, target_dir};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Packages whose dependencies are shipped.
const SHIPPED: [&str; 2] = ["braid-cli", "braid-node"];

/// Checks licences and sources of all dependencies, and writes the bill of materials into the
/// target folder.
pub(crate) fn licences(runner: &mut Runner) -> Result<(), Failed> {
    runner.check("licences and sources", |root| {
        let rules =
            fs::read_to_string(root.join("deny.toml")).map_err(|error| error.to_string())?;
        let packages = packages(root, "--workspace --all-features")?;
        judge(&packages, &Rules::read(&rules))
    })?;
    runner.check("bill of materials", |root| {
        let packages = packages(root, &format!("-p {} -e normal,build", SHIPPED.join(" -p ")))?;
        let path = target_dir(root).join("sbom.cdx.json");
        let text = serde_json::to_string_pretty(&bill(&packages));
        let text = text.map_err(|error| error.to_string())?;
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(format!("{} packages in {}", packages.len(), path.display()))
    })
}

/// A package in the dependency tree.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: String,
    /// Path or URL, unless the package comes from the registry.
    source: Option<String>,
    licence: String,
}

impl Package {
    /// Parses a line of `cargo tree`: `name v1.2.3 (proc-macro) (source)|licence`.
    fn read(line: &str) -> Option<Self> {
        let (package, licence) = line.trim_end_matches(" (*)").split_once('|')?;
        let mut words = package.splitn(3, ' ');
        let (name, version) =
            (words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned());
        let mut others = words.next().unwrap_or_default().split(['(', ')']).map(str::trim);
        let source = others.find(|other| !matches!(*other, "" | "proc-macro" | "*"));
        Some(Self { name, version, source: source.map(str::to_owned), licence: licence.to_owned() })
    }
}

/// Returns the packages that `cargo tree` prints with the arguments `what`.
fn packages(root: &Path, what: &str) -> Result<BTreeSet<Package>, String> {
    let mut tree = cargo(&format!("tree --locked --target all --prefix none {what}"));
    tree.args(["-f", "{p}|{l}"]).current_dir(root);
    let lines = output(tree)?;
    let lines = lines.lines().filter(|line| !line.is_empty());
    let packages =
        lines.map(|line| Package::read(line).ok_or_else(|| format!("no package: {line}")));
    packages.collect()
}

/// Licences that `deny.toml` allows.
#[derive(Debug, Default)]
struct Rules {
    allowed: BTreeSet<String>,
    /// Licences that only one package may have, by package.
    exceptions: BTreeSet<(String, String)>,
}

impl Rules {
    /// Parses the section `[licenses]`: the quoted words of `allow`, and one exception per line.
    fn read(text: &str) -> Self {
        let part = text.split("[licenses]").nth(1).unwrap_or_default();
        let part = part.split("\n[").next().unwrap_or_default();
        let mut rules = Self::default();
        for line in part.lines().map(|line| line.split('#').next().unwrap_or_default()) {
            let mut quoted = line.split('"').skip(1).step_by(2).map(str::to_owned);
            if !line.contains("crate =") {
                rules.allowed.extend(quoted);
            } else if let (Some(licence), Some(package)) = (quoted.next(), quoted.next()) {
                rules.exceptions.insert((package, licence));
            }
        }
        rules
    }

    fn allows(&self, package: &str, licence: &str) -> bool {
        let exception = (package.to_owned(), licence.to_owned());
        self.allowed.contains(licence) || self.exceptions.contains(&exception)
    }
}

fn judge(packages: &BTreeSet<Package>, rules: &Rules) -> Result<String, String> {
    let mut wrong = Vec::new();
    for Package { name, version, source, licence } in packages {
        match Expression::holds(licence, |it| rules.allows(name, it)) {
            Some(true) => {}
            Some(false) => wrong.push(format!(
                "{name} {version} has the licence {licence}; replace it, or allow the licence in deny.toml"
            )),
            None => wrong.push(format!("{name} {version} names no licence")),
        }
        // A path is a package of this workspace.
        if let Some(source) = source.as_ref().filter(|source| source.contains("://")) {
            wrong.push(format!("{name} {version} comes from {source}; take it from the registry"));
        }
    }
    match (wrong.is_empty(), packages.len()) {
        (_, 0) => Err("there is no package".to_owned()),
        (true, count) => Ok(format!("{count} packages")),
        (false, _) => Err(wrong.join("\n")),
    }
}

/// Parser of an SPDX expression, word by word.
struct Expression<'a>(std::iter::Peekable<std::vec::IntoIter<&'a str>>);

impl<'a> Expression<'a> {
    /// Returns whether licences accepted by `allows` satisfy `text`; `None` if it is not an
    /// expression.
    fn holds(text: &'a str, allows: impl Fn(&str) -> bool) -> Option<bool> {
        let mut words = Vec::new();
        for word in text.split_whitespace() {
            let bare = word.trim_matches(['(', ')']);
            words.extend(std::iter::repeat_n("(", word.matches('(').count()));
            // `MIT/Apache-2.0` is an old form of `MIT OR Apache-2.0`.
            for (place, licence) in bare.split('/').filter(|it| !it.is_empty()).enumerate() {
                words.extend((place > 0).then_some("OR"));
                words.push(licence);
            }
            words.extend((bare == "/").then_some("OR"));
            words.extend(std::iter::repeat_n(")", word.matches(')').count()));
        }
        let mut expression = Self(words.into_iter().peekable());
        let holds = expression.any(&allows)?;
        expression.0.next().is_none().then_some(holds)
    }

    fn any(&mut self, allows: &impl Fn(&str) -> bool) -> Option<bool> {
        let mut holds = self.all(allows)?;
        while self.0.next_if(|word| *word == "OR").is_some() {
            holds |= self.all(allows)?;
        }
        Some(holds)
    }

    fn all(&mut self, allows: &impl Fn(&str) -> bool) -> Option<bool> {
        let mut holds = self.one(allows)?;
        while self.0.next_if(|word| *word == "AND").is_some() {
            holds &= self.one(allows)?;
        }
        Some(holds)
    }

    fn one(&mut self, allows: &impl Fn(&str) -> bool) -> Option<bool> {
        match self.0.next()? {
            "(" => {
                let holds = self.any(allows)?;
                (self.0.next()? == ")").then_some(holds)
            }
            ")" | "OR" | "AND" | "WITH" => None,
            licence => {
                // An exception only adds permissions.
                if self.0.next_if(|word| *word == "WITH").is_some() {
                    self.0.next()?;
                }
                Some(allows(licence))
            }
        }
    }
}

/// Returns the bill of materials of the tools in CycloneDX 1.5: every package that is compiled into
/// them or builds them.
fn bill(packages: &BTreeSet<Package>) -> Value {
    let component = |Package { name, version, licence, .. }: &Package| {
        json!({
            "type": if SHIPPED.contains(&name.as_str()) { "application" } else { "library" },
            "name": name,
            "version": version,
            "purl": format!("pkg:cargo/{name}@{version}"),
            "licenses": [{ "expression": licence.replace(" / ", " OR ").replace('/', " OR ") }],
        })
    };
    let components: Vec<Value> = packages.iter().map(component).collect();
    json!({ "bomFormat": "CycloneDX", "specVersion": "1.5", "components": components })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_hold_as_spdx_says() {
        let holds = |text| Expression::holds(text, |licence| ["MIT", "ISC"].contains(&licence));
        for text in [
            "MIT",
            "Apache-2.0/MIT",
            "GPL-3.0 OR MIT",
            "(GPL-3.0 OR MIT) AND ISC",
            "MIT WITH other",
            "A / MIT",
        ] {
            assert_eq!(holds(text), Some(true), "{text}");
        }
        for text in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND GPL-3.0", "MIT-0"] {
            assert_eq!(holds(text), Some(false), "{text}");
        }
        for text in ["", "MIT OR", "(MIT", "MIT ISC", "AND MIT"] {
            assert_eq!(holds(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_not_allowed_is_named() {
        let text = "[licenses]\n# \"GPL-3.0\"\nallow = [\"MIT\", \"ISC\"]\nexceptions = [\n    \
                    { allow = [\"NCSA\"], crate = \"fuzzer\" },\n]\n[bans]\nwildcards = \"deny\"\n";
        let rules = Rules::read(text);
        let judge = |line: &str| judge(&[Package::read(line).expect("a line")].into(), &rules);
        for line in
            ["a v1.0.0|MIT", "a v1.0.0 (proc-macro)|MIT", "fuzzer v1 (/here)|MIT AND NCSA (*)"]
        {
            assert_eq!(judge(line), Ok("1 packages".to_owned()), "{line}");
        }
        for (line, words) in [
            ("a v1|GPL-3.0", "a 1 has the licence GPL-3.0"),
            ("a v1|NCSA", "allow the licence"),
            ("a v1|deny", "a 1 has"),
            ("a v1 (proc-macro) (https://example.org/a#1)|MIT", "comes from https"),
            ("a v1|", "names no licence"),
        ] {
            let why = judge(line).expect_err("it is not allowed");
            assert!(why.contains(words), "{why}");
        }
        assert_eq!(Package::read("a|MIT"), None);
    }

    #[test]
    fn the_bill_names_what_is_shipped() {
        let lines = ["braid-cli v0.1.0 (/here)|MIT", "a v1.2.0|MIT/Apache-2.0"];
        let bill = bill(&lines.iter().filter_map(|line| Package::read(line)).collect());
        assert_eq!(bill["components"][0]["purl"], "pkg:cargo/a@1.2.0");
        assert_eq!(bill["components"][0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(bill["components"][1]["type"], "application");
    }
}
