#!/usr/bin/env bash
# Builds the fuzzers for ClusterFuzzLite and OSS-Fuzz, which define OUT, the folder for the fuzzers, and SANITIZER.
# `cargo xtask fuzz --build` knows the flags that keep memory flat; the options of each fuzzer stand beside it.
set -euo pipefail
if [ -n "${SRC:-}" ]; then cd "$SRC/braid"; else cd "$(dirname "${BASH_SOURCE[0]}")/.."; fi

export CARGO_TARGET_DIR=${WORK:-$PWD/target}/braid
# The flags of the image are for fuzzers: a build of xtask with them could not load its macros.
env -u RUSTFLAGS cargo xtask fuzz --build --sanitizer "${SANITIZER:-address}"
built=$CARGO_TARGET_DIR/fuzz/${SANITIZER:-address}/x86_64-unknown-linux-gnu/fuzz
for source in fuzz/fuzz_targets/*.rs; do
    target=$(basename "$source" .rs)
    [ "$target" = block_equivalence ] && continue # too slow to fuzz; tests replay it
    cp "$built/$target" "$OUT/"
    cp .clusterfuzzlite/options "$OUT/$target.options"
    zip -qjr "$OUT/${target}_seed_corpus.zip" "fuzz/corpus/$target"
done
