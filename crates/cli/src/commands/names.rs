//! Options that name files with compiler output.

use crate::explain::{
    Recording,
    names::{Compiled, Names, read},
};
use alloy_primitives::Address;
use braid_blocks::block_file::BlockFile;
use braid_terminal::Stop;
use clap::Args;
use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

/// Options for the output of solc and forge, and for source files.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct NamesArgs {
    /// Name variables, from the output of solc --storage-layout or forge inspect storageLayout; may
    /// be repeated. Without an address, the file must also have the code of the contracts, by which
    /// they are found
    #[arg(long = "layout", value_name = "[ADDRESS=]FILE")]
    layouts: Vec<Named>,
    /// Name functions, from the output of solc --abi or an artifact of forge; may be repeated
    #[arg(long = "abi", value_name = "FILE")]
    abis: Vec<PathBuf>,
    /// Name lines of source, for contracts whose code is in the file; may be repeated
    #[arg(long = "source-map", value_name = "FILE")]
    source_maps: Vec<PathBuf>,
    /// Folder that the compiler's source paths are relative to
    #[arg(long = "root", value_name = "DIR", default_value = ".")]
    root: PathBuf,
}

/// A file, and optionally the contract that it describes.
#[derive(Clone, Debug)]
struct Named {
    account: Option<Address>,
    path: PathBuf,
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((account, path)) = text.split_once('=').filter(|(it, _)| it.starts_with("0x"))
        else {
            return Ok(Self { account: None, path: text.into() });
        };
        let account =
            account.parse().map_err(|_| format!("expected an address, found {account}"))?;
        Ok(Self { account: Some(account), path: path.into() })
    }
}

/// The names that were read.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Contracts with a given address.
    named: Vec<(Address, Arc<Compiled>)>,
    /// Contracts to be found by their code.
    layouts: Vec<Arc<Compiled>>,
    /// ABIs, used by selector.
    abis: Vec<Compiled>,
    /// Source maps, used by code.
    source_maps: Vec<Arc<Compiled>>,
    /// Options whose file has not matched any contract yet.
    unmatched: Vec<Given>,
    /// The folder of source files, if there is no such folder.
    missing_root: Option<PathBuf>,
}

/// An option with a file, and the contracts in the file.
#[derive(Debug)]
struct Given {
    option: String,
    contracts: Contracts,
}

#[derive(Debug)]
enum Contracts {
    Account(Address),
    Code(Vec<Arc<Compiled>>),
    Selectors(BTreeSet<[u8; 4]>),
}

impl Contracts {
    /// Returns whether one of the contracts is in `file`.
    fn are_in(&self, file: &BlockFile, recording: &Recording) -> bool {
        match self {
            Self::Account(account) => file.pre_state.contains_key(account),
            Self::Code(all) => {
                let hashes = file.pre_state.values().filter_map(|account| account.code_hash);
                let mut codes = hashes.filter_map(|hash| file.codes.get(&hash));
                codes.any(|code| all.iter().any(|it| it.is(code)))
            }
            Self::Selectors(selectors) => {
                let mut calls = recording.transactions.iter().flat_map(|it| &it.calls);
                calls.any(|(_, selector)| selectors.contains(selector))
            }
        }
    }
}

impl NamesArgs {
    /// Reads the files.
    pub(super) fn read(&self) -> Result<Known, Stop> {
        let all =
            |path: &Path| read(path, &self.root).map_err(|error| Stop::Message(error.to_string()));
        let missing_root = Some(&self.root).filter(|root| !root.is_dir()).cloned();
        let mut known = Known { missing_root, ..Known::default() };
        self.read_layouts(all, &mut known)?;
        for path in &self.abis {
            let abis = all(path)?;
            let shown = path.display();
            let selectors: BTreeSet<_> =
                abis.iter().flat_map(|it| it.functions.keys()).copied().collect();
            if selectors.is_empty() {
                let why =
                    format!("{shown}: found no functions; add the ABI to the compiler's output");
                return Err(Stop::Message(why));
            }
            let contracts = Contracts::Selectors(selectors);
            known.unmatched.push(Given { option: format!("--abi {shown}"), contracts });
            known.abis.extend(abis);
        }
        for path in &self.source_maps {
            let maps =
                all(path)?.into_iter().filter(|it| it.source_map.is_some() && it.code.is_some());
            let maps: Vec<Arc<Compiled>> = maps.map(Arc::new).collect();
            known.source_maps.extend(maps.clone());
            if maps.is_empty() {
                let why = format!(
                    "{}: found no source map with its code; solc writes both with \
                     --combined-json bin-runtime,srcmap-runtime",
                    path.display()
                );
                return Err(Stop::Message(why));
            }
            let option = format!("--source-map {}", path.display());
            known.unmatched.push(Given { option, contracts: Contracts::Code(maps) });
        }
        Ok(known)
    }

    /// Reads the storage layouts.
    fn read_layouts(
        &self,
        all: impl Fn(&Path) -> Result<Vec<Compiled>, Stop>,
        known: &mut Known,
    ) -> Result<(), Stop> {
        for Named { account, path } in &self.layouts {
            let layouts = all(path)?.into_iter().filter(|it| it.layout.is_some());
            let layouts = layouts.map(|it| Compiled { source_map: None, ..it });
            let layouts: Vec<Arc<Compiled>> = layouts
                .map(|it| Arc::new(Compiled { functions: Default::default(), ..it }))
                .collect();
            let shown = path.display();
            known.unmatched.push(Given {
                option: format!("--layout {shown}"),
                contracts: account
                    .map_or_else(|| Contracts::Code(layouts.clone()), Contracts::Account),
            });
            match (account, &layouts[..]) {
                (_, []) => {
                    let why = format!(
                        "{shown}: found no storage layout; add it to the compiler's output"
                    );
                    return Err(Stop::Message(why));
                }
                (Some(account), [layout]) => known.named.push((*account, Arc::clone(layout))),
                (Some(_), _) => {
                    let why = format!(
                        "{shown} has the layouts of {} contracts; name a file with one, or no address",
                        layouts.len()
                    );
                    return Err(Stop::Message(why));
                }
                (None, layouts) if layouts.iter().all(|it| it.code.is_none()) => {
                    let why = format!(
                        "{shown} has no code by which to find its contract; name the contract: \
                         --layout ADDRESS={shown}"
                    );
                    return Err(Stop::Message(why));
                }
                (None, _) => known.layouts.extend(layouts),
            }
        }
        Ok(())
    }
}

impl Known {
    /// Names the contracts of `file` in its recording.
    pub(super) fn name(&mut self, file: &BlockFile, recording: &mut Recording) {
        recording.names = self.of(file);
        self.unmatched.retain(|given| !given.contracts.are_in(file, recording));
    }

    /// Warns of a missing folder, and of options that match no contract in any named block.
    pub(super) fn warn(&self) -> io::Result<()> {
        let mut out = anstream::stderr().lock();
        if let Some(root) = &self.missing_root {
            let root = root.display();
            writeln!(out, "warning: --root {root} is not a folder; source lines are left out")?;
        }
        for Given { option, .. } in &self.unmatched {
            writeln!(
                out,
                "warning: {option} matches no contract of these blocks; check that it is the right file"
            )?;
        }
        Ok(())
    }

    /// Returns the names of the contracts of `file`.
    fn of(&self, file: &BlockFile) -> Names {
        let mut names = Names::default();
        for (account, compiled) in &self.named {
            names.add(*account, compiled);
        }
        for compiled in &self.abis {
            names.add_functions(compiled);
        }
        if self.layouts.is_empty() && self.source_maps.is_empty() {
            return names;
        }
        for (address, account) in &file.pre_state {
            let Some(code) = account.code_hash.and_then(|hash| file.codes.get(&hash)) else {
                continue;
            };
            let is_it = |it: &&Arc<Compiled>| it.is(code);
            if let Some(compiled) = self.layouts.iter().find(is_it) {
                names.add(*address, compiled);
            }
            if let Some(compiled) = self.source_maps.iter().find(is_it) {
                names.add_code(*address, code.clone(), compiled);
            }
        }
        names
    }
}
