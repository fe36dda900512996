//! Access lists that `braid run` reads or writes.

use crate::{
    access_list::{self, ListFileError},
    inputs,
};
use braid_blocks::{block_file::STANDARD_STREAM, verify::ListReport};
use braid_evm::{AccessList, AccessListError};
use braid_terminal::Stop;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Use of access lists.
#[derive(Debug)]
pub(super) enum Lists {
    /// None.
    Ignored,
    /// The list of each block is written into this folder.
    Written { folder: PathBuf, overwrite: bool },
    /// The list of the only block is read from this file.
    InFile(PathBuf),
    /// The list of each block is read from this folder.
    InFolder(PathBuf),
}

impl Lists {
    /// Returns lists that are written into `folder`, and creates the folder if it does not exist.
    pub(super) fn written(folder: &Path, overwrite: bool) -> Result<Self, Stop> {
        fs::create_dir_all(folder).map_err(|error| {
            let shown = folder.display();
            Stop::Message(format!("{shown}: {error}; name another folder with --emit-bal"))
        })?;
        Ok(Self::Written { folder: folder.to_owned(), overwrite })
    }

    /// Returns lists that are read from `path`, the value of `option`: a folder, or a file if there
    /// is only one block.
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

    /// Returns the name in reports.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Ignored => "none",
            Self::Written { .. } => "written",
            Self::InFile(_) | Self::InFolder(_) => "read",
        }
    }

    /// Returns the path of the list of a block.
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

    /// Reads the list of the block in `file` before it is executed, if lists are read.
    pub(super) fn before(&self, file: &Path) -> Result<Option<AccessList>, ListFileError> {
        match self {
            Self::InFile(_) | Self::InFolder(_) => access_list::read(file).map(Some),
            Self::Written { overwrite: false, .. } => {
                access_list::check_absent(file).map(|()| None)
            }
            Self::Written { .. } | Self::Ignored => Ok(None),
        }
    }

    /// Writes the list `made` after the execution of the block in `file`, if lists are written, and
    /// returns the report. `wrong` is the error in the list that was read.
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
