//! The sidecars of blob transactions (EIP-4844, EIP-7594).

use alloy_eips::{
    eip4844::{Blob, Bytes48, kzg_to_versioned_hash},
    eip7594::{BlobTransactionSidecarEip7594, BlobTransactionSidecarVariant, CELLS_PER_EXT_BLOB},
};
use alloy_primitives::B256;
use braid_chain::pool::PoolError;
use c_kzg::{Cell, Error, KzgSettings, ethereum_kzg_settings};

/// Tables that only making proofs would need: none.
const PRECOMPUTE: u64 = 0;

/// Checks that a sidecar has the blobs that `hashes` name, and that its proofs are right. Before
/// Osaka, each blob has a proof; from Osaka on, each cell of a blob may have one instead.
///
/// # Errors
/// Returns what is wrong with the sidecar.
pub(crate) fn check(
    hashes: &[B256],
    sidecar: &BlobTransactionSidecarVariant,
    is_osaka: bool,
) -> Result<(), PoolError> {
    let commitments = sidecar.commitments();
    let blobs = sidecar.blobs();
    if hashes.len() != blobs.len() || hashes.len() != commitments.len() {
        return Err(PoolError::Sidecar("it has another number of blobs than the transaction"));
    }
    let mut both = hashes.iter().zip(commitments);
    if !both.all(|(hash, commitment)| *hash == kzg_to_versioned_hash(commitment.as_slice())) {
        return Err(PoolError::Sidecar(
            "its commitments do not match the blob hashes of the transaction",
        ));
    }
    let settings = ethereum_kzg_settings(PRECOMPUTE);
    let right = match sidecar {
        BlobTransactionSidecarVariant::Eip4844(it) if it.proofs.len() != blobs.len() => {
            return Err(PoolError::Sidecar("it has not one proof for each blob"));
        }
        BlobTransactionSidecarVariant::Eip7594(_) if !is_osaka => {
            return Err(PoolError::Sidecar("cell proofs are for Osaka and later"));
        }
        BlobTransactionSidecarVariant::Eip7594(it)
            if it.cell_proofs.len() != blobs.len().saturating_mul(CELLS_PER_EXT_BLOB) =>
        {
            return Err(PoolError::Sidecar("it has not one proof for each cell"));
        }
        BlobTransactionSidecarVariant::Eip4844(it) => {
            let blobs: Result<Vec<_>, _> = blobs.iter().map(blob).collect();
            let (commitments, proofs) = (points(commitments), points(&it.proofs));
            blobs.and_then(|it| settings.verify_blob_kzg_proof_batch(&it, &commitments, &proofs))
        }
        BlobTransactionSidecarVariant::Eip7594(it) => are_cells_right(settings, it),
    };
    match right {
        Ok(true) => Ok(()),
        // An error means that bytes are no field elements or no points.
        Ok(false) | Err(_) => Err(PoolError::Sidecar("its proofs are wrong")),
    }
}

/// Checks all cells of all blobs at once.
fn are_cells_right(
    settings: &KzgSettings,
    sidecar: &BlobTransactionSidecarEip7594,
) -> Result<bool, Error> {
    let mut cells: Vec<Cell> = Vec::new();
    let (mut indices, mut commitments) = (Vec::new(), Vec::new());
    for (bytes, commitment) in sidecar.blobs.iter().zip(points(&sidecar.commitments)) {
        cells.extend(settings.compute_cells(&blob(bytes)?)?.iter());
        indices.extend(0..CELLS_PER_EXT_BLOB as u64);
        commitments.extend([commitment; CELLS_PER_EXT_BLOB]);
    }
    let proofs = points(&sidecar.cell_proofs);
    settings.verify_cell_kzg_proof_batch(&commitments, &indices, &cells, &proofs)
}

fn blob(blob: &Blob) -> Result<c_kzg::Blob, Error> {
    c_kzg::Blob::from_bytes(blob.as_slice())
}

fn points(points: &[Bytes48]) -> Vec<c_kzg::Bytes48> {
    points.iter().map(|point| c_kzg::Bytes48::new(point.0)).collect()
}
