"use strict";
/* The page of one block, or of several; it shows one at a time. */
(() => {
  const { byId, el } = Braid;
  const sources = [...document.querySelectorAll("script.block")];
  const parsed = new Map();
  const load = (index) => {
    if (!parsed.has(index)) parsed.set(index, JSON.parse(sources[index].textContent));
    return parsed.get(index);
  };
  const nameOf = (index) => sources[index].dataset.name;

  const figures = (block) => {
    const costs = Braid.costs(block);
    const measured = block.measured;
    const simulated = block.speedups.find((it) => it.workers === block.workers);
    const figure = (value, text) => el("div", { class: "figure" }, el("b", {}, value), el("span", {}, text));
    const busy = Boolean(measured && measured.busy_share !== null && measured.busy_share !== undefined);
    const here = measured ? figure(Braid.times(measured.speedup), `measured here on ${Braid.plural(measured.workers, "worker")}${busy ? " while the machine was busy: unreliable" : ""}`) : null;
    return [
      figure(Braid.count(block.txs), `transactions, ${Braid.gas(block.gas.work)}`),
      busy ? null : here,
      simulated && simulated.simulated !== null ? figure(Braid.times(simulated.simulated), `simulated on ${Braid.plural(block.workers, "worker")}`) : null,
      figure(Braid.times(Braid.ratio(costs.work, costs.chain)), "at most for an engine that runs conflicting transactions one after the other"),
      figure(Braid.times(Braid.ratio(costs.work, costs.longest)), "at most, without any conflict"),
      busy ? here : null,
    ];
  };
  /* Whether a transaction of the chain waits for ether alone. */
  const credits = (costs) => costs.conflict_chain.some((step) => step.waited_for.length > 0 && step.waited_for.every((location) => location.endsWith(".balance")));
  const plain = (block) => {
    const costs = Braid.costs(block);
    const count = costs.conflict_chain.length;
    if (count < 2) return `${block.conflicts.length === 0 && block.other_conflicts === 0 ? "No transaction waits for another: only the longest one" : "No chain of transactions that wait for each other costs more than the longest transaction: only that one"} and the number of workers limit this block.`;
    const share = (100 * costs.chain) / Math.max(1, costs.work);
    const first = block.conflicts.find((it) => it.waits > 0);
    const what = first ? ` Most of it waits at one location: ${Braid.shorter(first.words)} (${first.waits} of ${count - 1} waits).` : "";
    return `The longest conflict chain has ${count} of ${Braid.count(block.txs)} transactions and ${share.toFixed(0)} % of the work (${Braid.cost(block, costs.chain)} of ${Braid.cost(block, costs.work)}). An engine that runs conflicting transactions one after the other cannot be faster than that chain, however many workers it has.${credits(costs) ? " Braid can: it adds payments of ether to an account without reading its balance." : ""}${what}`;
  };
  const way = (block) => {
    const costs = Braid.costs(block);
    const of = (gain) => `${Braid.cost(block, costs.chain)} to ${Braid.cost(block, gain.chain)}`;
    byId("way-note").textContent = block.conflicts.length === 0 && block.other_conflicts === 0 ? "Nothing: no transaction waits for another."
      : costs.conflict_chain.length < 2 ? "Nothing: no conflict chain costs more than the longest transaction. Shorter chains wait at these locations."
      : `Locations at which transactions wait, ordered by their cost on the conflict chain of ${Braid.cost(block, costs.chain)}.` +
        (block.other_conflicts ? ` There ${block.other_conflicts === 1 ? "is one more" : `are ${Braid.count(block.other_conflicts)} more`}: see the table of locations.` : "");
    return block.conflicts.map((it) => {
      const share = (100 * it.chain_cost) / Math.max(1, costs.chain);
      const functions = it.functions.slice(0, 3).map((one) => (one.signature || one.selector).split("(")[0]).join(", ");
      const gains = [it.without.chain < costs.chain ? `without it: conflict chain ${of(it.without)}` : `without it: no gain: ${it.waits > 0 ? "other locations or chains cost the same" : costs.conflict_chain.length < 2 ? "conflicts do not limit this block" : "another chain is longer"}`,
        it.without_those_above.chain < it.without.chain ? `without it and the entries above: ${of(it.without_those_above)}` : null,
        it.sharded && it.kind === "counter" ? `with one counter per sender: ${of(it.sharded)}` : null].filter(Boolean).join("; ");
      return el("li", {},
        el("span", { title: it.words }, Braid.shorter(it.words)), " ", el("span", { class: "tag" }, it.kind.replaceAll("_", " ")),
        it.waits === 0 ? null : el("div", { class: "bar", role: "img", "aria-label": `${share.toFixed(0)} percent of the conflict chain` }, el("i", { style: `width:${Math.min(100, share).toFixed(1)}%` })),
        el("small", {}, it.waits === 0 ? `not on the conflict chain; its own chain costs ${Braid.cost(block, it.own_chain)}` : `${Braid.cost(block, it.chain_cost)} (${share.toFixed(0)} %) of the conflict chain in ${Braid.plural(it.waits, "wait")}`, `; accessed by ${Braid.plural(it.transactions.length, "transaction")}`, functions ? `, calls of ${functions}` : ""),
        el("small", {}, gains), el("small", { class: "mono" }, it.locations[0], it.locations.length > 1 ? ` and ${it.locations.length - 1} more` : ""),
        it.lines.slice(0, 4).map((line) => el("small", { class: "mono" }, `${line.file}:${line.line}:${line.column} ${line.stores ? "stores" : "loads"}`)),
        it.lines.length > 0 ? el("small", {}, it.advice) : null);
    });
  };

  const detail = (block) => {
    const box = byId("detail");
    const index = Braid.selected;
    box.hidden = index === null;
    if (index === null) return;
    const it = block.transactions[index];
    const links = (list) => (list.length === 0 ? "none" : list.slice(0, 40).flatMap((one, at) => [at ? ", " : "", Braid.transaction(one)]).concat(list.length > 40 ? ` and ${list.length - 40} more` : ""));
    const waits = block.waits.filter((wait) => wait.reader === index);
    const runs = block.timeline ? block.timeline.runs.filter((run) => run.transaction === index) : [];
    const locations = [...new Set(waits.flatMap((wait) => wait.locations))].slice(0, 6).map((index) => Braid.shorter(block.locations[index].words));
    byId("detail-h").textContent = `Transaction ${index}`;
    const rows = [["from", el("span", { class: "mono" }, it.sender)], ["to", el("span", { class: "mono" }, it.to || "new contract")],
      ["calls", it.function || it.selector || "no function"], ["cost", `${Braid.gas(it.gas)}${it.time_ns === null ? "" : `, ${Braid.time(it.time_ns)} in sequence`}`],
      ["waits for", links(waits.map((wait) => wait.writer))], ["at", locations.length ? locations.join("; ") : "no location"],
      ["is waited for by", links([...new Set(block.waits.filter((wait) => wait.writer === index).map((wait) => wait.reader))])],
      ["runs", runs.map((run) => `worker ${run.worker} at ${Braid.time(run.begin)}, ${run.how}`).join("; ") || "none"]];
    Braid.fill(byId("detail-list"), rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
  };

  /* Numbers, addresses, functions and locations: what is searched in. */
  const texts = new WeakMap();
  const textOf = (block) => {
    if (!texts.has(block)) {
      const at = Array.from(block.transactions, () => new Set());
      block.waits.forEach((wait) => wait.locations.forEach((index) => { at[wait.reader].add(index); at[wait.writer].add(index); }));
      texts.set(block, block.transactions.map((it, index) => [it.sender, it.to || "new contract", it.selector, it.function, ...[...at[index]].map((location) => `${block.locations[location].location} ${block.locations[location].words}`)].join(" ").toLowerCase()));
    }
    return texts.get(block);
  };
  let restrict = null;
  const found = (block, indices, what) => {
    Braid.matches = new Set(indices);
    byId("matches").textContent = what ? (indices.length ? `${Braid.plural(indices.length, "transaction")}: ${what}` : `nothing: ${what}`) : "";
    byId("previous").disabled = byId("next").disabled = indices.length === 0;
    if (restrict) restrict(what ? (row) => Braid.matches.has(row.index) : null);
    Braid.tell("matches");
  };
  const search = (block, query) => {
    const words = query.trim().toLowerCase();
    if (words === "") { found(block, [], ""); return; }
    const number = /^#?\d+$/.test(words) ? Number(words.replace("#", "")) : null;
    const indices = number !== null && number < block.transactions.length ? [number]
      : textOf(block).flatMap((text, index) => (text.includes(words) ? [index] : []));
    found(block, indices, query.trim());
    if (indices.length > 0) Braid.select(indices[0], true); else Braid.say("Nothing was found.");
  };
  const walk = (by) => {
    const all = [...Braid.matches].sort((a, b) => a - b);
    if (all.length === 0) return;
    const at = all.indexOf(Braid.selected);
    Braid.select(all[(at + by + all.length) % all.length]);
  };

  const tables = (block) => {
    const cost = (name, key) => ({ name, number: true, of: (row) => row[key], show: (value) => Braid.cost(block, value) });
    Braid.table(byId("location-table"), {
      caption: block.other_locations ? `The first ${Braid.count(block.locations.length)} locations; there are ${Braid.count(block.other_locations)} more` : "Locations",
      rows: block.locations, empty: "No transaction waits for another.",
      columns: [{ name: "location", wide: true, of: (row) => row.words, show: Braid.shorter, title: (row) => row.location }, { name: "kind", of: (row) => row.kind.replaceAll("_", " ") },
        { name: "wait", number: true, of: (row) => row.waiting }, { name: "write", number: true, of: (row) => row.writers },
        { name: "on the chain", number: true, of: (row) => row.on_chain }, cost("costs there", "chain_cost")],
    });
    const waits = block.transactions.map(() => 0);
    const waited = block.transactions.map(() => 0);
    block.waits.forEach(({ writer, reader }) => { waits[reader] += 1; waited[writer] += 1; });
    const rows = block.transactions.map((it, index) => ({ ...it, index, waits: waits[index], waited: waited[index] }));
    const address = (name, key) => ({ name, mono: true, of: (row) => row[key], show: (value) => Braid.short(value), title: (row) => row[key] });
    const timed = block.time_ns ? [{ name: "time", number: true, of: (row) => row.time_ns, show: Braid.time }] : [];
    restrict = Braid.table(byId("transaction-table"), {
      caption: "Transactions", rows, transaction: (row) => row.index,
      columns: [{ name: "number", number: true, of: (row) => row.index, show: Braid.transaction }, address("from", "sender"), address("to", "to"),
        { name: "function", of: (row) => row.function || row.selector, show: (value) => value.split("(")[0], title: (row) => row.function },
        { name: "gas", number: true, of: (row) => row.gas }, ...timed, { name: "waits for", number: true, of: (row) => row.waits },
        { name: "waited for by", number: true, of: (row) => row.waited }],
    }).restrict;
  };

  const api = { timeline: null, graph: null, block: null };
  window.braidReport = api;
  const show = (index) => {
    const block = load(index);
    Braid.forget();
    Braid.selected = null;
    Braid.matches = new Set();
    byId("title").textContent = `${nameOf(index)}: block ${block.block}, ${Braid.plural(block.txs, "transaction")}`;
    byId("wrong").hidden = block.ok;
    byId("wrong").textContent = block.ok ? "" : `Unexpected result: ${block.error}. The page describes this result, not the one in the file. All differences: braid run ${block.file}; usual causes: docs/TROUBLESHOOTING.md`;
    Braid.fill(byId("figures"), figures(block));
    byId("plain").textContent = plain(block);
    byId("words").textContent = block.words;
    Braid.fill(byId("way"), way(block));
    Braid.speedup(block);
    api.timeline = Braid.timeline(block);
    api.graph = Braid.graph(block);
    api.block = block;
    Braid.heat(block, (row, column) => {
      const { names } = block.callees;
      const listed = new Set(names);
      const name = (at) => { const to = block.transactions[at].to || "new contract"; return listed.has(to) ? to : "others"; };
      const readers = new Set(block.waits.filter((wait) => name(wait.reader) === names[row] && name(wait.writer) === names[column]).map((wait) => wait.reader));
      const indices = [...readers].sort((a, b) => a - b);
      found(block, indices, `${Braid.short(names[row])} waits for ${Braid.short(names[column])}`);
      if (indices.length > 0) Braid.select(indices[0]);
    });
    tables(block);
    Braid.listen("select", () => detail(block));
    detail(block);
    byId("query").value = "";
    found(block, [], "");
    byId("search").onsubmit = (event) => { event.preventDefault(); search(block, byId("query").value); };
    byId("query").oninput = () => search(block, byId("query").value);
    byId("previous").onclick = () => walk(-1);
    byId("next").onclick = () => walk(1);
    byId("close").onclick = () => { Braid.select(null); byId("query").focus(); };
  };

  const overview = () => {
    byId("overview").hidden = false;
    byId("pick").hidden = false;
    Braid.fill(byId("block"), sources.map((_, index) => el("option", { value: index }, nameOf(index))));
    byId("block").addEventListener("change", (event) => show(Number(event.target.value)));
    const rows = sources.map((_, index) => {
      const block = load(index);
      const costs = Braid.costs(block);
      const simulated = block.speedups.find((it) => it.workers === block.workers);
      const first = block.conflicts.find((it) => it.waits > 0);
      return { index, txs: block.txs, work: costs.work, by: block, none: Braid.ratio(costs.work, costs.longest), late: Braid.ratio(costs.work, costs.late_read), chain: Braid.ratio(costs.work, costs.chain),
        simulated: simulated ? simulated.simulated : null, measured: block.measured ? block.measured.speedup : null, busy: Boolean(block.measured && block.measured.busy_share), first: first ? first.words : null, workers: block.workers };
    });
    const times = (name, key) => ({ name, number: true, of: (row) => row[key], show: Braid.times });
    Braid.table(byId("overview-table"), {
      caption: "How many times faster the blocks can be, and what Braid reaches", rows,
      columns: [{ name: "block", of: (row) => nameOf(row.index), show: (value, row) => el("button", { type: "button", class: "link", on: { click: () => { byId("block").value = row.index; show(row.index); byId("title").scrollIntoView(); } } }, value) },
        { name: "the chain waits for", wide: true, of: (row) => row.first, show: Braid.shorter },
        { name: "transactions", number: true, of: (row) => row.txs }, { name: "work", number: true, of: (row) => row.work, show: (value, row) => Braid.cost(row.by, value) },
        times("no conflicts", "none"), times("late read", "late"), times("conflict chain", "chain"), times(`simulated, ${rows[0].workers} workers`, "simulated"), { ...times("measured", "measured"), show: (value, row) => (row.busy ? `${Braid.times(value)}, busy` : Braid.times(value)) }],
    });
  };

  Braid.beginTheme();
  if (sources.length > 1) overview();
  show(0);
})();
