"use strict";
/* A table that is sorted by its columns, filtered, and shown page by page.
 *
 * columns: { name, of: row => number | string | null, show?: (value, row) => text or element, number?, mono?, wide? }.
 * options: { caption, rows, columns, sort: [column, descending], page, filter, transaction: row => index }.
 */
Braid.table = (parent, options) => {
  const { el } = Braid;
  const { rows, columns, page = 25 } = options;
  let [by, descending] = options.sort || [null, false];
  let from = 0;
  let words = "";
  let shown = rows;

  const compare = (one, other) => {
    const [a, b] = [columns[by].of(one), columns[by].of(other)];
    if (a === b) return 0;
    if (a === null || a === undefined) return 1;
    if (b === null || b === undefined) return -1;
    const order = typeof a === "number" ? a - b : String(a).localeCompare(String(b));
    return descending ? -order : order;
  };
  const text = (row) => columns.map((column) => column.of(row)).join(" ").toLowerCase();
  const choose = () => {
    shown = words ? rows.filter((row) => text(row).includes(words)) : rows.slice();
    if (options.only) shown = shown.filter(options.only);
    if (by !== null) shown.sort(compare);
    from = Math.min(from, Math.max(0, Math.ceil(shown.length / page) - 1) * page);
  };

  const heads = columns.map((column, index) => {
    const mark = el("span", { "aria-hidden": "true" });
    const button = el("button", { type: "button", on: { click: () => {
      [by, descending] = by === index ? [by, !descending] : [index, column.number === true];
      from = 0;
      draw();
      Braid.say(`Sorted by ${column.name}, ${descending ? "descending" : "ascending"}.`);
    } } }, column.name, mark);
    return { cell: el("th", { scope: "col", class: column.number ? "number" : null }, button), mark };
  });
  const body = el("tbody");
  const status = el("output");
  const back = el("button", { type: "button", "aria-label": "Previous rows", on: { click: () => { from -= page; draw(); } } }, "\u2039");
  const forth = el("button", { type: "button", "aria-label": "Next rows", on: { click: () => { from += page; draw(); } } }, "\u203a");
  const filter = el("input", { type: "search", placeholder: "filter", "aria-label": `Filter: ${options.caption}`, on: { input: () => {
    words = filter.value.trim().toLowerCase();
    from = 0;
    draw();
  } } });

  const cell = (column, row) => {
    const value = column.of(row);
    const empty = value === null || value === undefined;
    const content = empty ? "-" : column.show ? column.show(value, row) : typeof value === "number" ? Braid.count(value) : String(value);
    const classes = [column.number && "number", column.mono && "mono", column.wide && "text"].filter(Boolean).join(" ");
    return el("td", { class: classes || null, title: column.title ? column.title(row) : null }, content);
  };
  const draw = () => {
    choose();
    heads.forEach(({ cell: head, mark }, index) => {
      head.setAttribute("aria-sort", index !== by ? "none" : descending ? "descending" : "ascending");
      mark.textContent = index !== by ? "" : descending ? " \u25be" : " \u25b4";
    });
    const some = shown.slice(from, from + page);
    Braid.fill(body, some.map((row) => {
      const index = options.transaction ? options.transaction(row) : null;
      const is = index !== null && index === Braid.selected;
      return el("tr", { class: is ? "selected" : null }, columns.map((column) => cell(column, row)));
    }));
    if (some.length === 0) Braid.fill(body, el("tr", {}, el("td", { colspan: columns.length }, options.empty || "nothing")));
    const range = shown.length === 0 ? "none" : `${from + 1} to ${from + some.length} of ${Braid.count(shown.length)}`;
    status.textContent = rows.length > page || words || options.only ? range : "";
    back.hidden = forth.hidden = shown.length <= page;
    back.disabled = from === 0;
    forth.disabled = from + page >= shown.length;
  };

  const many = rows.length > page;
  const tools = el("div", { class: "table-tools" }, many ? filter : null, back, forth, status);
  const table = el("table", {}, el("caption", {}, options.caption), el("thead", {}, el("tr", {}, heads.map((head) => head.cell))), body);
  Braid.fill(parent, tools, el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": options.caption }, table));
  draw();
  if (options.transaction) Braid.listen("select", () => {
    const at = shown.findIndex((row) => options.transaction(row) === Braid.selected);
    if (at >= 0) from = Math.floor(at / page) * page;
    draw();
  });
  return { draw, restrict: (only) => { options.only = only; from = 0; draw(); } };
};
