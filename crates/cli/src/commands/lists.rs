//! Access lists that `braid run` reads or writes.

use super::report::ListReport;
use crate::{
    access_list::{self, ListFileError},
    inputs,
};
use braid_evm::{AccessList, AccessListError};
use braid_terminal::Stop;
use braid_testkit::block_file::STANDARD_STREAM;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What happens with access lists.
#[derive(Debug)]
pub(super) enum Lists {
    /// Nothing.
    Ignored,
    /// Each block's is written into this folder.
    Written { folder: PathBuf, overwrite: bool },
    /// The one block's is read from this file.
    InFile(PathBuf),
    /// Each block's is read from this folder.
    InFolder(PathBuf),
}

impl Lists {
    /// Lists that are written into `folder`, which is made if need be.
    pub(super) fn written(folder: &Path, overwrite: bool) -> Result<Self, Stop> {
        fs::create_dir_all(folder).map_err(|error| {
            let shown = folder.display();
            Stop::Message(format!("{shown}: {error}; name another folder with --emit-bal"))
        })?;
        Ok(Self::Written { folder: folder.to_owned(), overwrite })
    }

    /// Lists that are read from `path`, which `option` names: a folder, or a file if there is one block.
    pub(super) fn read(path: &Path, blocks: usize, option: &str) -> Result<Self, Stop> {
        if path.is_dir() {
            return Ok(Self::InFolder(path.to_owned()));
        }
        if blocks != 1 {
            return Err(Stop::Message(format!(
                "{option} {}: expected one block for this file, or a folder of lists for {blocks}",
                path.display()
            )));
        }
        Ok(Self::InFile(path.to_owned()))
    }

    /// What reports say of them.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Ignored => "none",
            Self::Written { .. } => "written",
            Self::InFile(_) | Self::InFolder(_) => "read",
        }
    }

    /// The file of the list of the block with this name.
    pub(super) fn file(&self, block: &str) -> Option<PathBuf> {
        match self {
            Self::Ignored => None,
            Self::InFile(file) => Some(file.clone()),
            Self::Written { folder, .. } | Self::InFolder(folder) => {
                let name = if block == STANDARD_STREAM { "stdin" } else { &inputs::short(block) };
                Some(folder.join(format!("{name}{}", access_list::SUFFIX)))
            }
        }
    }

    /// Before a block is executed: the list in `file`, if lists are read.
    pub(super) fn before(&self, file: &Path) -> Result<Option<AccessList>, ListFileError> {
        match self {
            Self::InFile(_) | Self::InFolder(_) => access_list::read(file).map(Some),
            Self::Written { overwrite: false, .. } => {
                access_list::check_absent(file).map(|()| None)
            }
            Self::Written { .. } | Self::Ignored => Ok(None),
        }
    }

    /// After a block was executed: writes the list that was `made`, if lists are written, and tells
    /// of `file`. `wrong`: what is wrong with the list that was read.
    pub(super) fn after(
        &self,
        file: PathBuf,
        made: Option<AccessList>,
        wrong: Option<AccessListError>,
    ) -> Result<Option<ListReport>, ListFileError> {
        let Self::Written { overwrite, .. } = self else {
            return Ok(Some(ListReport { file, written: false, wrong }));
        };
        let Some(list) = made else { return Ok(None) };
        access_list::write(&file, &list, *overwrite)?;
        Ok(Some(ListReport { file, written: true, wrong: None }))
    }
}
