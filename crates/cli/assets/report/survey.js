"use strict";
/* The page of a survey: all blocks, or those of one fork. */
(() => {
  const { byId, el } = Braid;
  const source = document.querySelector("script.survey");
  const survey = JSON.parse(source.textContent);
  const rows = survey.blocks.filter((row) => row.ok && row.txs > 0);
  const failed = survey.blocks.filter((row) => !row.ok);
  const [all, ...forks] = survey.groups;
  const { workers } = survey;
  const readable = (fork) => fork.split("_").map((word) => word[0] + word.slice(1).toLowerCase()).join(" ");
  const percent = (part, whole) => (whole === 0 ? 0 : (100 * part) / whole);
  const share = (part, whole) => `${percent(part, whole).toFixed(0)} %`;
  const limits = { conflicts: "conflicts", longest: "longest", workers: "workers" };
  const median = (group, key) => (group.speedups[key] ? group.speedups[key].median : null);

  const figures = (group) => {
    const figure = (value, text) => el("div", { class: "figure" }, el("b", {}, value), el("span", {}, text));
    return [
      figure(Braid.count(group.blocks), `${group.blocks === 1 ? "block" : "blocks"}, ${Braid.plural(group.txs, "transaction")}, ${Braid.gas(group.gas)}`),
      figure(Braid.times(median(group, "chain")), "at most in the median for an engine that runs conflicting transactions one after the other"),
      figure(Braid.times(median(group, "no_conflicts")), "at most in the median, without any conflict"),
      group.speedups.simulated ? figure(Braid.times(median(group, "simulated")), `Braid simulated on ${Braid.plural(workers, "worker")}, median`) : null,
      group.speedups.measured ? figure(Braid.times(median(group, "measured")), `Braid measured here, median${group.busy ? `; the machine was busy in ${Braid.plural(group.busy, "block")}: unreliable` : ""}`) : null,
    ];
  };

  const plain = (group) => {
    const said = group.limits.filter((it) => it.blocks > 0).map((it) => `${{ conflicts: "conflicts", longest: "the longest transaction", workers: "the number of workers" }[it.limit]} in ${Braid.count(it.blocks)}`);
    const first = group.kinds[0];
    const waits = first ? ` Of the gas of all conflict chains, ${share(first.chain_cost, group.chain)} is of transactions that wait for ${first.kind === "same_sender" ? "an earlier one of the same sender" : `a ${first.kind.replaceAll("_", " ")}`}.` : " No chain of transactions that wait for each other costs more than the longest transaction of its block.";
    const passed = group.passed === 0 ? "" : ` In ${Braid.plural(group.passed, "block")} Braid beats the bound of the conflict chain, because it adds payments of ether without reading the balance.`;
    return `What limits these blocks on ${Braid.plural(workers, "worker")}: ${said.join(", ")}.${waits}${passed}`;
  };

  const kinds = (group) => group.kinds.map((it) => {
    const part = percent(it.chain_cost, group.chain);
    return el("li", {}, el("span", {}, it.kind.replaceAll("_", " ")),
      el("div", { class: "bar", role: "img", "aria-label": `${part.toFixed(0)} percent of the conflict chains` }, el("i", { style: `width:${Math.min(100, part).toFixed(1)}%` })),
      el("small", {}, `${Braid.gas(it.chain_cost)} (${part.toFixed(0)} % of the chains) in ${Braid.plural(it.waits, "transaction")} of ${Braid.plural(it.blocks, "block")}; ${Braid.gas(it.alone)} (${share(it.alone, group.chain)}) of it waits only here`));
  });

  const accounts = (group) => Braid.table(byId("account-table"), {
    caption: group.other_accounts ? `The first ${Braid.count(group.accounts.length)}; there are ${Braid.count(group.other_accounts)} more` : "Accounts",
    rows: group.accounts, sort: [2, true], page: 20, empty: "No conflict chain waits anywhere.",
    columns: [
      { name: "account", mono: true, of: (row) => row.account, show: Braid.short, title: (row) => row.account },
      { name: "is a", of: (row) => row.role },
      { name: "gas", number: true, of: (row) => row.chain_cost, show: Braid.gas },
      { name: "of the chains", number: true, of: (row) => percent(row.chain_cost, group.chain), show: (value) => `${value.toFixed(1)} %` },
      { name: "only here", number: true, of: (row) => row.alone, show: Braid.gas },
      { name: "transactions", number: true, of: (row) => row.waits },
      { name: "blocks", number: true, of: (row) => row.blocks },
      { name: "at", wide: true, of: (row) => row.kinds.map((it) => it.replaceAll("_", " ")).join(", ") },
      { name: "functions", wide: true, of: (row) => row.functions.slice(0, 3).map((it) => (it.signature || it.selector).split("(")[0]).join(", ") },
      { name: "forks", wide: true, of: (row) => row.forks.map(readable).join(", ") },
    ],
  });

  const speedup = (name, of) => ({ name, number: true, of, show: Braid.times });
  const blocks = (shown) => Braid.table(byId("block-table"), {
    caption: "Speed-up over sequential execution, by gas", rows: shown, page: 20, empty: "no block",
    columns: [
      { name: "block", mono: true, of: (row) => row.file.split("/").pop().replace(/\.json(\.gz|\.zst)?$/, ""), title: (row) => row.file },
      { name: "the chain waits for", wide: true, of: (row) => row.first, show: Braid.shorter },
      { name: "fork", of: (row) => readable(row.fork) },
      { name: "transactions", number: true, of: (row) => row.txs },
      { name: "gas", number: true, of: (row) => row.gas, show: Braid.gas },
      ...Braid.measures.slice(0, 3).map((it) => speedup(it.name, it.of)),
      speedup(`chain, ${workers} workers`, (row) => Braid.ratio(row.gas, row.chain_on_workers)),
      ...Braid.measures.slice(3).filter((it) => shown.some((row) => it.of(row) !== null)).map((it) => speedup(it.name.replace("Braid, ", ""), it.of)),
      { name: "limit", of: (row) => limits[row.limit] },
    ],
  });

  const forkTable = () => Braid.table(byId("fork-table"), {
    caption: "Medians, and how many blocks are limited by what", rows: forks.map((group, order) => ({ ...group, order })), page: 30,
    columns: [
      { name: "fork", of: (row) => row.order, show: (_, row) => readable(row.fork) },
      { name: "blocks", number: true, of: (row) => row.blocks },
      { name: "gas each", number: true, of: (row) => row.gas / row.blocks, show: Braid.gas },
      ...Braid.measures.filter((it) => all.speedups[it.key]).map((it) => speedup(it.name, (row) => median(row, it.key))),
      ...Object.entries(limits).map(([limit, name]) => ({ name: `by ${name}`, number: true, of: (row) => row.limits.find((it) => it.limit === limit).blocks })),
    ],
  });

  const spreads = (group) => Braid.table(byId("spread-table"), {
    caption: "Speed-up over sequential execution", rows: Braid.measures.filter((it) => group.speedups[it.key]),
    columns: [{ name: "what", of: (row) => row.name }, ...["lowest", "first_quartile", "median", "third_quartile", "highest"].map((key) => speedup(key.replace("_", " "), (row) => group.speedups[row.key][key]))],
  });

  let forget = () => {};
  const show = (index) => {
    const group = survey.groups[index];
    const shown = group.fork === null ? rows : rows.filter((row) => row.fork === group.fork);
    byId("title").textContent = group.fork === null ? source.dataset.name : `${source.dataset.name}: ${readable(group.fork)}`;
    Braid.fill(byId("figures"), figures(group));
    byId("plain").textContent = plain(group);
    byId("kinds-note").textContent = group.kinds.length === 0 ? "Nothing: no conflict chain costs more than the longest transaction of its block."
      : `The conflict chains cost ${Braid.gas(group.chain)} of ${Braid.gas(group.gas)}. A transaction of a chain can wait at locations of several kinds, so that the shares overlap.`;
    Braid.fill(byId("kinds"), kinds(group));
    byId("accounts-note").textContent = `By the gas of the transactions of conflict chains that wait there, of ${Braid.gas(group.chain)} in all. "Only here": transactions that wait at no other account.`;
    accounts(group);
    blocks(shown);
    spreads(group);
    byId("spread").setAttribute("aria-label", `Chart: share of the blocks that reach at least a speed-up. Medians: ${Braid.measures.filter((it) => group.speedups[it.key]).map((it) => `${it.name} ${Braid.times(median(group, it.key))}`).join(", ")}. The table below has more.`);
    forget();
    forget = shown.length > 0 ? Braid.spread(byId("spread"), shown) : () => {};
    api.group = group;
    Braid.say(`${Braid.plural(shown.length, "block")}.`);
  };

  const api = { survey, group: null };
  window.braidSurvey = api;
  Braid.beginTheme();
  Braid.fill(byId("fork"), survey.groups.map((group, index) => el("option", { value: index }, `${group.fork === null ? "all" : readable(group.fork)} (${group.blocks})`)));
  byId("fork").addEventListener("change", (event) => show(Number(event.target.value)));
  byId("spread-note").textContent = `Bounds by gas, on any number of workers; ${all.speedups.simulated ? `Braid simulated on ${Braid.plural(workers, "worker")}` : "nothing was simulated"}${all.speedups.measured ? "; measured: on this machine, including building the result and the effect of other load" : ""}. A line at 2x and 60 % means that 60 % of the blocks can be at least twice as fast.`;
  byId("forks-note").textContent = "Lines are medians; each small point is the conflict chain of a block. A few blocks say little about a fork.";
  byId("forks").setAttribute("aria-label", `Chart of medians by fork. Conflict chain: ${forks.map((group) => `${readable(group.fork)} ${Braid.times(median(group, "chain"))}`).join(", ")}.`);
  show(0);
  if (forks.length > 0) Braid.byFork(byId("forks"), forks, rows, forks.map((group) => readable(group.fork)));
  forkTable();
  byId("failed").hidden = failed.length === 0;
  Braid.table(byId("failed-table"), { caption: "Files", rows: failed, columns: [{ name: "file", of: (row) => row.file, wide: true }, { name: "reason", of: (row) => row.error, wide: true }] });
})();
