//! Files with names from compilers, as options give them.

use super::Stop;
use crate::explain::names::{Compiled, Names, read};
use alloy_primitives::Address;
use braid_testkit::block_file::BlockFile;
use clap::Args;
use std::{
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

/// Names that solc and forge have written.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct NamesArgs {
    /// Name variables, as solc --storage-layout or forge inspect storageLayout tells; may be given several times.
    /// Without an address it is of the contracts whose code the file has, too
    #[arg(long = "layout", value_name = "[ADDRESS=]FILE")]
    layouts: Vec<Named>,
    /// Name functions, as solc --abi or an artifact of forge tells; may be given several times
    #[arg(long = "abi", value_name = "FILE")]
    abis: Vec<PathBuf>,
}

/// Lines of source.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct LinesArgs {
    /// Name lines of source, for contracts whose code the file has; may be given several times
    #[arg(long = "source-map", value_name = "FILE")]
    source_maps: Vec<PathBuf>,
    /// Folder at which the compiler's paths of sources start
    #[arg(long = "root", value_name = "DIR", default_value = ".")]
    root: PathBuf,
}

/// A file, and the contract that it is of.
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

/// Names that were read.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// By address.
    named: Vec<(Address, Arc<Compiled>)>,
    /// By code.
    layouts: Vec<Arc<Compiled>>,
    /// By selector.
    abis: Vec<Compiled>,
    /// By code.
    source_maps: Vec<Arc<Compiled>>,
}

impl NamesArgs {
    /// Reads the files; those with lines, too, if there are any.
    pub(super) fn read(&self, lines: &LinesArgs) -> Result<Known, Stop> {
        let all =
            |path: &Path| read(path, &lines.root).map_err(|error| Stop::Message(error.to_string()));
        let mut known = Known::default();
        for Named { account, path } in &self.layouts {
            let layouts = all(path)?.into_iter().filter(|it| it.layout.is_some());
            let layouts = layouts.map(|it| Compiled { source_map: None, ..it });
            let layouts: Vec<Arc<Compiled>> = layouts
                .map(|it| Arc::new(Compiled { functions: Default::default(), ..it }))
                .collect();
            let shown = path.display();
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
                        "{shown} has no code to find its contract by; name the contract: --layout ADDRESS={shown}"
                    );
                    return Err(Stop::Message(why));
                }
                (None, _) => known.layouts.extend(layouts),
            }
        }
        for path in &self.abis {
            known.abis.extend(all(path)?);
        }
        for path in &lines.source_maps {
            let maps =
                all(path)?.into_iter().filter(|it| it.source_map.is_some() && it.code.is_some());
            let before = known.source_maps.len();
            known.source_maps.extend(maps.map(Arc::new));
            if known.source_maps.len() == before {
                let why = format!(
                    "{}: found no source map with the code that it is of; solc writes both with \
                     --combined-json bin-runtime,srcmap-runtime",
                    path.display()
                );
                return Err(Stop::Message(why));
            }
        }
        Ok(known)
    }
}

impl Known {
    /// The names of the contracts of `file`.
    pub(super) fn of(&self, file: &BlockFile) -> Names {
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
