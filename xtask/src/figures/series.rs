//! What is measured, and with which arguments.

use std::path::Path;

/// One call of `braid-lab bench`.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) name: &'static str,
    /// Arguments. `REAL` stands for the folder of real blocks.
    line: &'static str,
}

const fn series(name: &'static str, line: &'static str) -> Series {
    Series { name, line }
}

/// Every series, those first on which most tables depend. A series takes one to eight minutes.
pub(super) const SERIES: &[Series] = &[
    series("real", "REAL --workers 1,2 --brief --rounds 9"),
    series("real_first", "REAL --workers 1,2 --brief --rounds 9 --no-learn"),
    series("workloads", "--workers 1,2 --rounds 5"),
    series("workloads_first", "--workers 2 --brief --rounds 5 --no-learn"),
    series(
        "short",
        "a_raw b_rawhot c_erc20 d_erc20hot e_uni f_unipool g_hybrid g_hybshuf i_payout m_mainnet \
                  nft-game lending governance supply-chain stablecoin-batch rollup-batch mixed \
                  --txs 400 --workers 2 --brief --rounds 15",
    ),
    series("cost", "nft-game supply-chain lending m_mainnet mixed c_erc20 --cost"),
    series(
        "entries",
        "entries REAL m_mainnet nft-game c_erc20 e_uni a_raw supply-chain --workers 1,2 --rounds 5 --txs 2000 \
                  --db-latency 0us,5us,50us",
    ),
    series("sustain_native", "sustain native --seconds 20"),
    series("sustain_mixed", "sustain mixed --seconds 20"),
    series("sustain_contended", "sustain contended --seconds 20"),
    series("sustain_signed", "sustain native --signed 300000"),
    series("sustain_flat", "sustain mixed --seconds 20 --no-state-roots"),
    series(
        "lists",
        "REAL f_unipool d_erc20hot m_mainnet e_uni c_erc20 --workers 2 --brief --rounds 5 --bal",
    ),
    series(
        "made_lists",
        "REAL f_unipool d_erc20hot m_mainnet e_uni c_erc20 --workers 1,2 --brief --rounds 5 \
                          --emit-bal",
    ),
    series("busy", "REAL --workers 2 --brief --rounds 3 --busy"),
    series("busier", "REAL --workers 2 --brief --rounds 3 --busy=2"),
    series("contention", "--contention --workers 2 --rounds 3"),
    series("odd", "odd --workers 2 --rounds 5"),
    series("real_virtual", "REAL --virtual 2,4,8,16"),
    series("lists_virtual", "REAL --virtual 2,4,8,16 --bal"),
];

impl Series {
    /// Returns the arguments after `bench`, for real blocks in `real`.
    pub(super) fn arguments(&self, real: &Path) -> Vec<String> {
        let words = self.line.split_whitespace();
        let words = words.map(|word| word.replace("REAL", &real.display().to_string()));
        words.chain(["--json".to_owned()]).collect()
    }
}
