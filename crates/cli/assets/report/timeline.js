"use strict";
/* What each worker did, in virtual time. */
Braid.timeline = (block) => {
  const { byId, el } = Braid;
  const note = byId("timeline-note");
  const { timeline } = block;
  const parts = ["timeline-legend", "timeline", "share-table", "run-table"].map(byId);
  if (!timeline) {
    note.textContent = "The block could not be simulated: there is no timeline.";
    parts.forEach((part) => Braid.fill(part));
    return null;
  }
  const price = block.by === "gas" ? "The same on every machine: each run takes a microsecond for every 2,000 gas" : "Each run takes as long as the transaction took in sequence here";
  note.textContent = `Not a recording of threads: Braid's own scheduler on ${Braid.plural(timeline.workers, "simulated worker")}. ${price}, and all other steps take a fixed time of 30 to 200 ns. Building the result and waking threads are not included.`;

  const NAMES = { committed: "run", aborted: "run, aborted", blocked: "run, met one that had to end first" };
  const COLOURS = { committed: "run", aborted: "aborted", blocked: "blocked" };
  const WHAT = { publish: "publishes or compares", coordinate: "takes, reports or commits", wait: "waits" };
  const legend = [["run", "run that counts"], ["aborted", "aborted run", "striped"], ["blocked", "blocked run", "striped"],
    ["publish", WHAT.publish], ["coordinate", WHAT.coordinate], ["ink", "batch", "outline"]];
  Braid.fill(byId("timeline-legend"), legend.map(([colour, text, kind]) =>
    el("li", {}, el("i", { class: kind, style: `--c:var(--${colour})`, "aria-hidden": "true" }), text)), el("li", {}, "empty: waits"));

  const about = (index) => {
    const it = block.transactions[index];
    return `transaction ${index}${it.function ? `, ${it.function.split("(")[0]}` : ""}`;
  };
  const ofRun = (run) => ({
    lane: run.worker, begin: run.begin, end: run.end, transaction: run.transaction, colour: COLOURS[run.how],
    striped: run.how !== "committed", text: String(run.transaction), counts: run.how === "committed",
    tip: () => {
      const again = run.earlier ? `, run ${run.earlier + 1}` : "";
      const commit = timeline.commits[run.transaction];
      const to = block.transactions[run.transaction].to;
      return [`${about(run.transaction)}: ${NAMES[run.how]}${again}`, to ? `to ${Braid.short(to)}` : "creates a contract",
        `worker ${run.worker}, ${Braid.time(run.begin)} to ${Braid.time(run.end)} (${Braid.time(run.end - run.begin)})`,
        run.how === "committed" && commit !== null ? `committed at ${Braid.time(commit)}` : ""].filter(Boolean).join("\n");
    },
  });
  const ofSpan = (span) => ({
    lane: span.worker, begin: span.begin, end: span.end, transaction: null, colour: span.what,
    tip: () => `worker ${span.worker} ${WHAT[span.what]}\n${Braid.time(span.begin)} to ${Braid.time(span.end)} (${Braid.time(span.end - span.begin)})`,
  });
  /* Waiting is empty room, but can be asked for as everything else. */
  const waits = timeline.spans.filter((span) => span.what === "wait");
  const busy = timeline.spans.filter((span) => span.what !== "wait");
  const highest = (list) => list.reduce((most, it) => Math.max(most, it.worker), 0);
  const used = 1 + Math.max(highest(timeline.runs), highest(busy.filter((span) => span.end - span.begin > timeline.end / 200)));
  const idle = timeline.workers - used;
  /* Workers that run transactions which may conflict, at most: MAX_CONFLICTING_WORKERS. */
  const meet = 8;
  const why = used === meet ? `: Braid lets at most ${meet} workers run transactions that may conflict` : "";
  if (idle > 0) note.textContent += ` ${idle === 1 ? "One worker runs nothing and is" : `${idle} workers run nothing and are`} not shown${why}.`;
  const all = [...timeline.runs.map(ofRun), ...busy.map(ofSpan), ...waits.map((span) => ({ ...ofSpan(span), colour: "paper" }))];
  const items = all.filter((item) => item.lane < used);
  const lanes = Braid.lanes(byId("timeline"), {
    name: "Timeline of the workers", items, end: timeline.end, row: 24, most: 460, gutter: 30, format: Braid.time,
    lanes: Array.from({ length: used }, (_, worker) => String(worker)),
    over: ({ pen, x, y, row, from, span, width }) => {
      pen.strokeStyle = Braid.colour("ink");
      pen.lineWidth = 1;
      for (const batch of timeline.batches) {
        if (batch.worker >= used || batch.end < from || batch.begin > from + span) continue;
        const [left, right] = [x(batch.begin), x(batch.end)];
        if (right - left < 4) continue;
        pen.globalAlpha = 0.75;
        pen.beginPath();
        pen.moveTo(Math.max(-2, left) + 0.5, y(batch.worker) + row - 6);
        pen.lineTo(Math.max(-2, left) + 0.5, y(batch.worker) + row - 1.5);
        pen.lineTo(Math.min(width + 2, right) - 0.5, y(batch.worker) + row - 1.5);
        pen.lineTo(Math.min(width + 2, right) - 0.5, y(batch.worker) + row - 6);
        pen.stroke();
        pen.globalAlpha = 1;
      }
    },
  });

  const shares = Array.from({ length: timeline.workers }, (_, worker) => ({ worker, committed: 0, aborted: 0, blocked: 0, publish: 0, coordinate: 0, wait: 0, runs: 0, batches: 0 }));
  timeline.runs.forEach((run) => { shares[run.worker][run.how] += run.end - run.begin; shares[run.worker].runs += 1; });
  timeline.spans.forEach((span) => { shares[span.worker][span.what] += span.end - span.begin; });
  timeline.batches.forEach((batch) => { shares[batch.worker].batches += 1; });
  const share = (value) => `${((100 * value) / Math.max(1, timeline.end)).toFixed(1)} %`;
  const column = (name, key) => ({ name, number: true, of: (row) => row[key], show: share });
  Braid.table(byId("share-table"), {
    caption: `Share of ${Braid.time(timeline.end)} that each worker spent`, rows: shares, page: 64,
    columns: [{ name: "worker", number: true, of: (row) => row.worker }, { name: "runs", number: true, of: (row) => row.runs },
      { name: "batches", number: true, of: (row) => row.batches }, column("run, counts", "committed"), column("aborted", "aborted"),
      column("blocked", "blocked"), column("publish", "publish"), column("coordinate", "coordinate"), column("wait", "wait")],
  });
  Braid.table(byId("run-table"), {
    caption: "Runs of transactions", rows: timeline.runs, transaction: (row) => row.transaction, sort: [2, false],
    columns: [{ name: "transaction", number: true, of: (row) => row.transaction, show: Braid.transaction },
      { name: "worker", number: true, of: (row) => row.worker }, { name: "begins", number: true, of: (row) => row.begin, show: Braid.time },
      { name: "takes", number: true, of: (row) => row.end - row.begin, show: Braid.time }, { name: "run", number: true, of: (row) => row.earlier + 1 },
      { name: "result", of: (row) => row.how }],
  });
  return lanes;
};
