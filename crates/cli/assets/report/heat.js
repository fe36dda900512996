"use strict";
/* Which contracts make which wait. The drawing is a table, so it needs no other text form. */
Braid.heat = (block, find) => {
  const { byId, el } = Braid;
  const { names, cells } = block.callees;
  const note = byId("heat-note");
  if (cells.length === 0) {
    note.textContent = "No transaction waits for another.";
    Braid.fill(byId("heat"));
    return;
  }
  note.textContent = "Rows: contracts called by waiting transactions. Columns: contracts called by the transactions they wait for. Each number counts waiting transactions; darker cells cost more. Click a cell to find them.";
  const most = cells.reduce((max, cell) => Math.max(max, cell.cost), 1);
  const at = new Map(cells.map((cell) => [`${cell.waits} ${cell.waits_for}`, cell]));
  const name = (text) => el("span", { class: text.startsWith("0x") ? "mono" : null, title: text }, Braid.short(text));
  const cell = (row, column) => {
    const found = at.get(`${row} ${column}`);
    if (!found) return el("td", {}, "");
    const text = `${Braid.plural(found.transactions, "transaction")} to ${names[row]} ${found.transactions === 1 ? "waits" : "wait"} for transactions to ${names[column]}: ${Braid.cost(block, found.cost)}, ${Braid.plural(found.pairs, "pair")}`;
    const button = el("button", { type: "button", class: "link", "aria-label": text, on: {
      click: () => find(row, column), pointerenter: (event) => Braid.showTip(text, event.clientX, event.clientY), pointerleave: Braid.hideTip,
      focus: (event) => { const box = event.target.getBoundingClientRect(); Braid.showTip(text, box.left, box.bottom); }, blur: Braid.hideTip,
    } }, String(found.transactions));
    const share = 0.08 + 0.72 * Math.sqrt(found.cost / most);
    return el("td", { class: "warm", style: `--share:${share.toFixed(3)}` }, button);
  };
  /* Of rows and columns those in which something waits. */
  const rows = names.map((_, index) => index).filter((index) => cells.some((it) => it.waits === index));
  const columns = names.map((_, index) => index).filter((index) => cells.some((it) => it.waits_for === index));
  const head = el("tr", {}, el("th", { class: "corner", scope: "col" }, "waits \\ waits for"), columns.map((it) => el("th", { scope: "col" }, el("div", {}, name(names[it])))));
  const body = rows.map((row) => el("tr", {}, el("th", { scope: "row" }, name(names[row])), columns.map((column) => cell(row, column))));
  Braid.fill(byId("heat"), el("table", { class: "heat" }, el("caption", { class: "hidden" }, "Waiting transactions by what they call"), el("thead", {}, head), el("tbody", {}, body)));
};
