"use strict";
/* The graph of transactions that wait for each other: each as early as those let it that it waits for. */
Braid.graph = (block) => {
  const { byId, el } = Braid;
  const costs = Braid.costs(block);
  const path = new Map(costs.conflict_chain.map((step, index) => [step.transaction, index]));
  const tied = new Set();
  block.waits.forEach(({ writer, reader }) => { tied.add(writer); tied.add(reader); });
  const free = block.transactions.length - tied.size;
  byId("graph-note").textContent =
    `Each bar is a transaction that waits for another or is waited for, at its earliest start if enough workers were free. Lines point to the transactions that it waits for. ` +
    `${Braid.plural(free, "transaction")} of ${Braid.count(block.transactions.length)} ${free === 1 ? "has no conflict and is" : "have no conflicts and are"} not shown.`;
  Braid.fill(byId("graph-legend"), [["chain", "on the conflict chain"], ["node", "other transaction"]].map(([colour, text]) =>
    el("li", {}, el("i", { style: `--c:var(--${colour})`, "aria-hidden": "true" }), text)));

  const words = (locations) => locations.map((index) => block.locations[index]).filter(Boolean).map((it) => Braid.shorter(it.words));
  const waits = Array.from(block.transactions, () => []);
  block.waits.forEach((wait) => waits[wait.reader].push(wait));

  /* Transactions that are tied to each other lie together, the costliest of such groups first. */
  const root = Array.from(block.transactions, (_, index) => index);
  const find = (index) => { while (root[index] !== index) { root[index] = root[root[index]]; index = root[index]; } return index; };
  block.waits.forEach(({ writer, reader }) => { root[find(writer)] = find(reader); });
  const groups = new Map();
  [...tied].sort((a, b) => a - b).forEach((index) => {
    const group = find(index);
    if (!groups.has(group)) groups.set(group, []);
    groups.get(group).push(index);
  });
  const begin = (index) => block.transactions[index].ends - block.transactions[index].cost;
  const end = (index) => block.transactions[index].ends;
  const last = (group) => group.reduce((most, index) => Math.max(most, end(index)), 0);
  const isFirst = (group) => group.some((index) => path.has(index));
  const ordered = [...groups.values()].sort((a, b) => isFirst(b) - isFirst(a) || last(b) - last(a));
  const lane = new Map();
  let lanes = 0;
  for (const group of ordered) {
    const ends = [];
    /* The conflict chain is a straight line on top of its group. */
    const rows = group.slice().sort((a, b) => path.has(b) - path.has(a) || begin(a) - begin(b) || a - b);
    for (const index of rows) {
      let row = ends.findIndex((stop) => stop <= begin(index));
      if (path.has(index)) row = 0;
      else if (isFirst(group) && row === 0) row = ends.findIndex((stop, at) => at > 0 && stop <= begin(index));
      if (row < 0) row = ends.length;
      if (row === 0 && ends.length === 0 && isFirst(group) && !path.has(index)) row = 1;
      ends[row] = end(index);
      lane.set(index, lanes + row);
    }
    lanes += ends.length;
  }
  const item = (index) => ({
    lane: lane.get(index), begin: begin(index), end: end(index), transaction: index, text: String(index),
    colour: path.has(index) ? "chain" : "node",
    tip: () => {
      const it = block.transactions[index];
      const lines = waits[index].slice(0, 4).map((wait) => `waits for ${wait.writer}: ${words(wait.locations).slice(0, 2).join("; ") || "a location without a row"}`);
      const more = waits[index].length - lines.length;
      return [`transaction ${index}${it.function ? `, ${it.function.split("(")[0]}` : ""}${path.has(index) ? ", on the conflict chain" : ""}`,
        `${Braid.cost(block, it.cost)}, ends at ${Braid.cost(block, it.ends)}`, ...lines, more > 0 ? `and for ${more} more` : ""].filter(Boolean).join("\n");
    },
  });
  const items = [...tied].map(item);
  if (items.length === 0) {
    Braid.fill(byId("graph"), el("p", {}, "No transaction waits for another."));
  }
  const edge = ({ pen, x, y, row }, { writer, reader }, colour, width) => {
    const [from, to] = [x(end(writer)), x(begin(reader))];
    const [top, low] = [y(lane.get(writer)) + row / 2, y(lane.get(reader)) + row / 2];
    pen.strokeStyle = Braid.colour(colour);
    pen.lineWidth = width;
    pen.beginPath();
    pen.moveTo(from, top);
    const bend = Math.max(6, Math.min(40, Math.abs(to - from) / 2));
    pen.bezierCurveTo(from + bend, top, to - bend, low, to, low);
    pen.stroke();
  };
  const drawn = items.length === 0 ? null : Braid.lanes(byId("graph"), {
    name: "Graph of transactions that wait for each other", items, end: last([...tied]), row: 18, most: 420, gutter: 0,
    lanes: Array.from({ length: lanes }, () => ""), format: (cost) => Braid.cost(block, cost),
    under: (tools) => {
      const { from, span, first, last: end } = tools;
      const inView = block.waits.filter(({ writer, reader }) => {
        const [a, b] = [lane.get(writer), lane.get(reader)];
        return Math.max(a, b) >= first && Math.min(a, b) <= end && block.transactions[writer].ends <= from + span && begin(reader) >= from;
      });
      if (inView.length <= 4000) inView.forEach((wait) => edge(tools, wait, "edge", 1));
    },
    over: (tools) => {
      const steps = costs.conflict_chain;
      for (let step = 1; step < steps.length; step += 1) edge(tools, { writer: steps[step - 1].transaction, reader: steps[step].transaction }, "chain", 1.5);
      const about = Braid.selected;
      if (about !== null) block.waits.filter((it) => it.writer === about || it.reader === about).forEach((wait) => edge(tools, wait, "match", 2));
    },
  });

  let sum = 0;
  const steps = costs.conflict_chain.map((step) => ({ ...step, sum: (sum += step.cost) }));
  Braid.table(byId("path-table"), {
    caption: "The conflict chain", rows: steps, transaction: (row) => row.transaction,
    columns: [{ name: "transaction", number: true, of: (row) => row.transaction, show: Braid.transaction },
      { name: "cost", number: true, of: (row) => row.cost, show: (value) => Braid.cost(block, value) },
      { name: "ends at", number: true, of: (row) => row.sum, show: (value) => Braid.cost(block, value) },
      { name: "waits for the one before it at", wide: true, of: (row) => row.waited_for.map(Braid.shorter).join(", "), title: (row) => row.waited_for.join("\n") }],
  });
  Braid.table(byId("wait-table"), {
    caption: "Waits", rows: block.waits, transaction: (row) => row.reader,
    columns: [{ name: "transaction", number: true, of: (row) => row.reader, show: Braid.transaction },
      { name: "waits for", number: true, of: (row) => row.writer, show: Braid.transaction },
      { name: "at", wide: true, of: (row) => words(row.locations).join("; ") || null }],
  });
  return drawn;
};
