#!/bin/sh
# Measures the tool beside this script on 1 to all cores of this machine, and writes scale.md: the machine, built-in
# workloads, a sweep over contention, and block files if a folder `blocks` lies here. Nothing else should run.
#   ROUNDS=5 WORKERS=1,2,4,8,16 ./run.sh
set -eu
cd "$(dirname "$0")"
rounds=${ROUNDS:-5}
cores=$(nproc)
if [ -z "${WORKERS:-}" ]; then
  WORKERS=1 count=2
  while [ "$count" -lt "$cores" ]; do WORKERS=$WORKERS,$count; count=$((count * 2)); done
  [ "$cores" -gt 1 ] && WORKERS=$WORKERS,$cores
fi
say() { lscpu 2>/dev/null | sed -n "s/^$1: *//p" | head -n 1; }
{
  echo "# On $cores cores"
  echo
  echo "$(say 'Model name'); $(say 'Socket(s)') sockets, $(say 'NUMA node(s)') NUMA nodes, $(say 'Thread(s) per core') threads for each core;"
  echo "second-level cache $(say 'L2 cache' || true), third-level $(say 'L3 cache' || true); $(uname -sr); load before: $(cut -d ' ' -f 1-3 /proc/loadavg 2>/dev/null || true)"
  echo
  echo "## Built-in workloads, workers $WORKERS, $rounds rounds"
  echo
  echo '```'
  ./braid-lab bench --workers "$WORKERS" --brief --rounds "$rounds" --simulate "$WORKERS" 2>/dev/null
  echo '```'
  echo
  if [ -d blocks ]; then
    echo "## Block files"
    echo
    ./braid-lab bench blocks --workers "$WORKERS" --brief --rounds "$rounds" > blocks.txt 2>/dev/null
    sed -n '/ blocks on /p; /^geometric/p' blocks.txt
    echo
  fi
  echo "## Contention"
  echo
  echo '```'
  ./braid-lab bench --contention --quick --workers "$WORKERS" --rounds "$rounds" 2>/dev/null
  echo '```'
} > scale.md
echo "scale.md"
