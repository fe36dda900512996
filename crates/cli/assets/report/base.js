"use strict";
/* What every part of the page uses: elements, numbers, colours, the tip, and the transaction that is selected. */
const Braid = {};

Braid.byId = (id) => document.getElementById(id);

/* An element with attributes and children; text is never taken for markup. */
Braid.el = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (key === "class") element.className = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children.flat()) if (child !== null && child !== undefined) element.append(child);
  return element;
};

Braid.fill = (parent, ...children) => parent.replaceChildren(...children.flat().filter((it) => it !== null && it !== undefined));

Braid.count = (number) => number.toLocaleString("en-US");
Braid.plural = (number, one, many) => `${Braid.count(number)} ${number === 1 ? one : many || one + "s"}`;
Braid.times = (ratio) => (ratio === null || ratio === undefined ? "-" : `${ratio.toFixed(2)}x`);
Braid.ratio = (work, span) => (span === 0 ? 1 : work / span);
Braid.short = (address) => (address && address.length === 42 ? `${address.slice(0, 6)}...${address.slice(-4)}` : address || "");
/* Addresses in a text, shortened. */
Braid.shorter = (text) => text.replace(/0x[0-9a-fA-F]{24,}/g, (it) => `${it.slice(0, 6)}...${it.slice(-4)}`);

const digits = (number) => number.toFixed(number >= 100 ? 0 : number >= 10 ? 1 : 2);
Braid.time = (ns) => {
  if (ns < 1e3) return `${Math.round(ns)} ns`;
  if (ns < 1e6) return `${digits(ns / 1e3)} us`;
  return ns < 1e9 ? `${digits(ns / 1e6)} ms` : `${digits(ns / 1e9)} s`;
};
Braid.gas = (gas) => {
  if (gas < 1e3) return `${Math.round(gas)} gas`;
  return gas < 1e6 ? `${digits(gas / 1e3)} kgas` : `${digits(gas / 1e6)} Mgas`;
};
/* A cost in the unit that conflicts of the block are ordered by. */
Braid.cost = (block, cost) => (block.by === "gas" ? Braid.gas(cost) : Braid.time(cost));
Braid.costs = (block) => (block.by === "gas" ? block.gas : block.time_ns);

let colours = {};
Braid.colour = (name) => {
  if (!(name in colours)) colours[name] = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  return colours[name];
};

/* Who wants to hear of a change: of colours, of the selected transaction, of matches. */
const listeners = { theme: [], select: [], matches: [] };
Braid.listen = (event, listener) => listeners[event].push(listener);
Braid.tell = (event) => listeners[event].forEach((listener) => listener());
Braid.forget = () => { for (const event of ["select", "matches"]) listeners[event].length = 0; Braid.redraw.length = 0; };
/* Drawings of the block that is shown. */
Braid.redraw = [];

Braid.theme = (theme) => {
  const root = document.documentElement;
  root.dataset.theme = theme;
  colours = {};
  const button = Braid.byId("theme");
  button.setAttribute("aria-pressed", String(theme === "dark"));
  Braid.redraw.forEach((draw) => draw());
};

/* Storage may be refused to a page from a file. */
const stored = () => { try { return localStorage.getItem("braid-theme"); } catch { return null; } };
Braid.beginTheme = () => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const own = () => stored() || (dark.matches ? "dark" : "light");
  Braid.theme(own());
  dark.addEventListener("change", () => Braid.theme(own()));
  Braid.byId("theme").addEventListener("click", () => {
    const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("braid-theme", next); } catch { /* It lasts as long as the page. */ }
    Braid.theme(next);
  });
  let before = null;
  addEventListener("beforeprint", () => { before = document.documentElement.dataset.theme; Braid.theme("light"); });
  addEventListener("afterprint", () => { if (before) Braid.theme(before); before = null; });
};

const tip = () => Braid.byId("tip");
Braid.showTip = (text, x, y) => {
  const box = tip();
  box.textContent = text;
  box.hidden = false;
  const { width, height } = box.getBoundingClientRect();
  const left = Math.min(Math.max(4, x + 12), innerWidth - width - 4);
  const top = y + 16 + height > innerHeight ? y - height - 10 : y + 16;
  box.style.left = `${left}px`;
  box.style.top = `${Math.max(4, top)}px`;
};
Braid.hideTip = () => { tip().hidden = true; };

Braid.say = (text) => { Braid.byId("live").textContent = text; };

/* A button that selects a transaction. */
Braid.transaction = (index) =>
  Braid.el("button", { type: "button", class: "link", "aria-label": `Transaction ${index}`, on: { click: () => Braid.select(index) } }, String(index));

Braid.selected = null;
Braid.matches = new Set();
Braid.select = (index, quiet = false) => {
  Braid.selected = index;
  Braid.tell("select");
  if (index !== null && !quiet) Braid.say(`Transaction ${index} is selected.`);
};
