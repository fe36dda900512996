"use strict";
/* Bars in lanes along an axis, on a canvas: zoomed, moved, searched, and walked through with the keyboard.
 *
 * options: { name, lanes: [label], items, end, row, most, format, under?, over?, gutter }.
 * An item: { lane, begin, end, colour, striped?, transaction, tip }. Items of a lane do not overlap.
 */
Braid.lanes = (parent, options) => {
  const { el } = Braid;
  const { items, lanes, end, row, gutter, format } = options;
  const AXIS = 24;
  const byLane = lanes.map(() => []);
  items.forEach((item) => byLane[item.lane].push(item));
  byLane.forEach((lane) => lane.sort((a, b) => a.begin - b.begin || a.end - b.end));
  const full = AXIS + lanes.length * row + 4;
  const height = Math.min(options.most, full);
  let [from, span] = [0, Math.max(1, end)];
  let focus = null;

  const canvas = el("canvas", { "aria-hidden": "true" });
  const spacer = el("div", { style: `height:${full}px;position:absolute;top:0;left:0;width:1px`, "aria-hidden": "true" });
  const view = el("div", {
    class: "lanes-view", tabindex: "0", role: "application", style: `height:${height}px`,
    "aria-label": `${options.name}. Arrow keys walk through the bars, plus and minus zoom, 0 shows all, Enter selects. The tables below have the same.`,
  }, spacer, canvas);
  const range = el("output");
  const button = (label, text, act) => el("button", { type: "button", "aria-label": label, title: label, on: { click: act } }, text);
  const tools = el("div", { class: "bar-tools" },
    button("Zoom in", "+", () => zoom(0.5)), button("Zoom out", "\u2212", () => zoom(2)),
    button("Earlier", "\u2039", () => move(-0.4)), button("Later", "\u203a", () => move(0.4)),
    button("Show all", "All", () => show(0, end)), range);
  Braid.fill(parent, el("div", { class: "lanes" }, tools, view));

  let pen = null;
  let width = 0;
  const x = (at) => gutter + ((at - from) / span) * (width - gutter);
  const at = (px) => from + ((px - gutter) / (width - gutter)) * span;
  const y = (lane) => AXIS + lane * row - view.scrollTop;

  const limit = () => {
    span = Math.min(Math.max(span, Math.max(1, end) / 20000), Math.max(1, end));
    from = Math.min(Math.max(0, from), Math.max(0, end - span));
  };
  const show = (begin, stop) => { from = begin; span = Math.max(1, stop - begin); limit(); later(); };
  const zoom = (by, around) => {
    const center = around !== undefined ? around : focus ? (focus.begin + focus.end) / 2 : from + span / 2;
    const share = Math.min(1, Math.max(0, (center - from) / span));
    span *= by;
    limit();
    from = center - share * span;
    limit();
    later();
  };
  const move = (share) => { from += share * span; limit(); later(); };

  const step = () => {
    const wanted = span / Math.max(2, (width - gutter) / 110);
    const power = 10 ** Math.floor(Math.log10(wanted));
    return [1, 2, 5, 10].map((it) => it * power).find((it) => it >= wanted);
  };
  const firstAfter = (lane, time) => {
    let [low, high] = [0, lane.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (lane[middle].end < time) low = middle + 1; else high = middle;
    }
    return low;
  };
  const bar = (item, top) => {
    const left = Math.max(gutter - 2, x(item.begin));
    const right = Math.min(width + 2, x(item.end));
    const box = [left, top + 2, Math.max(1, right - left - (right - left > 3 ? 0.6 : 0)), row - 4];
    pen.fillStyle = Braid.colour(item.colour);
    pen.fillRect(...box);
    if (item.striped && box[2] > 3) stripes(box);
    const isMatch = item.transaction !== null && Braid.matches.has(item.transaction);
    const isSelected = item.transaction !== null && item.transaction === Braid.selected;
    if (isMatch || isSelected) {
      pen.strokeStyle = Braid.colour(isSelected ? "ink" : "match");
      pen.lineWidth = isSelected ? 2 : 1.5;
      pen.strokeRect(box[0], box[1] - 0.5, Math.max(2, box[2]), box[3] + 1);
    }
    if (item.text && box[2] > 7 * item.text.length + 4 && row >= 14) {
      if (item.striped) {
        pen.fillStyle = Braid.colour(item.colour);
        pen.fillRect(box[0] + 1, box[1] + 1, pen.measureText(item.text).width + 6, box[3] - 2);
      }
      pen.fillStyle = Braid.colour("paper");
      pen.fillText(item.text, box[0] + 4, top + row / 2 + 0.5);
    }
    if (item === focus && document.activeElement === view) {
      pen.strokeStyle = Braid.colour("focus");
      pen.lineWidth = 2;
      pen.strokeRect(box[0] - 1, box[1] - 1, box[2] + 2, box[3] + 2);
    }
  };
  const stripes = ([left, top, wide, high]) => {
    pen.save();
    pen.beginPath();
    pen.rect(left, top, wide, high);
    pen.clip();
    pen.strokeStyle = Braid.colour("paper");
    pen.lineWidth = 1.5;
    pen.beginPath();
    for (let at = left - high; at < left + wide; at += 5) { pen.moveTo(at, top + high); pen.lineTo(at + high, top); }
    pen.stroke();
    pen.restore();
  };
  const axis = () => {
    pen.fillStyle = Braid.colour("paper");
    pen.fillRect(0, 0, width, AXIS);
    pen.strokeStyle = Braid.colour("line");
    pen.lineWidth = 1;
    const each = step();
    for (let time = Math.ceil(from / each) * each; time <= from + span; time += each) {
      const px = Math.round(x(time)) + 0.5;
      pen.beginPath();
      pen.moveTo(px, AXIS - 6);
      pen.lineTo(px, AXIS);
      pen.stroke();
      const text = format(time);
      const wide = pen.measureText(text).width;
      pen.fillStyle = Braid.colour("muted");
      pen.fillText(text, Math.max(2, Math.min(px - 2, width - wide - 2)), 10);
    }
    pen.beginPath();
    pen.moveTo(gutter, AXIS - 0.5);
    pen.lineTo(width, AXIS - 0.5);
    pen.stroke();
  };
  const draw = () => {
    const scale = window.devicePixelRatio || 1;
    width = view.clientWidth;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "middle";
    pen.fillStyle = Braid.colour("paper");
    pen.fillRect(0, 0, width, height);
    const first = Math.max(0, Math.floor(view.scrollTop / row));
    const last = Math.min(lanes.length, first + Math.ceil(height / row) + 1);
    const tools = { pen, x, y, row, width, from, span, first, last };
    pen.strokeStyle = Braid.colour("soft");
    pen.lineWidth = 1;
    if (gutter > 0) for (let lane = first; lane < last; lane += 1) {
      pen.beginPath();
      pen.moveTo(gutter, y(lane) + row - 0.5);
      pen.lineTo(width, y(lane) + row - 0.5);
      pen.stroke();
    }
    if (options.under) options.under(tools);
    for (let lane = first; lane < last; lane += 1) {
      const all = byLane[lane];
      for (let index = firstAfter(all, from); index < all.length && all[index].begin <= from + span; index += 1) bar(all[index], y(lane));
    }
    if (options.over) options.over(tools);
    if (gutter > 0) {
      pen.fillStyle = Braid.colour("paper");
      pen.fillRect(0, AXIS, gutter - 2, height);
      pen.fillStyle = Braid.colour("muted");
      for (let lane = first; lane < last; lane += 1) pen.fillText(lanes[lane], 4, y(lane) + row / 2);
    }
    axis();
    range.textContent = `${format(from)} to ${format(from + span)}`;
  };
  let asked = 0;
  const later = () => { if (!asked) asked = requestAnimationFrame(() => { asked = 0; draw(); }); };

  const hit = (px, py) => {
    const lane = Math.floor((py - AXIS + view.scrollTop) / row);
    if (py < AXIS || px < gutter || !byLane[lane]) return null;
    /* A bar of less than a pixel is met by the pixels beside it. */
    const slack = (span / (width - gutter)) * 2;
    const time = at(px);
    const all = byLane[lane];
    let best = null;
    for (let index = firstAfter(all, time - slack); index < all.length && all[index].begin <= time + slack; index += 1) {
      const item = all[index];
      if (item.begin <= time && time < item.end) return item;
      best = best || item;
    }
    return best;
  };
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };

  const pointers = new Map();
  let dragged = 0;
  canvas.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, event.clientX);
    dragged = 0;
    canvas.setPointerCapture(event.pointerId);
    canvas.classList.add("dragging");
  });
  canvas.addEventListener("pointermove", (event) => {
    const [px, py] = place(event);
    if (!pointers.has(event.pointerId)) {
      const item = hit(px, py);
      if (item) Braid.showTip(item.tip(), event.clientX, event.clientY); else Braid.hideTip();
      return;
    }
    const before = [...pointers.values()];
    const moved = event.clientX - pointers.get(event.pointerId);
    pointers.set(event.pointerId, event.clientX);
    dragged += Math.abs(moved);
    if (pointers.size === 2) {
      const now = [...pointers.values()];
      const [was, is] = [Math.abs(before[0] - before[1]), Math.abs(now[0] - now[1])];
      if (was > 8 && is > 8) zoom(was / is, at((now[0] + now[1]) / 2 - canvas.getBoundingClientRect().left));
    } else if (dragged > 4) {
      from -= (moved / (width - gutter)) * span;
      limit();
      later();
      Braid.hideTip();
    }
  });
  const release = (event) => {
    pointers.delete(event.pointerId);
    if (pointers.size === 0) canvas.classList.remove("dragging");
  };
  canvas.addEventListener("pointerup", (event) => {
    release(event);
    if (dragged > 4) return;
    const item = hit(...place(event));
    focus = item;
    if (item && item.transaction !== null) Braid.select(item.transaction); else later();
    if (item) Braid.showTip(item.tip(), event.clientX, event.clientY);
  });
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointerleave", Braid.hideTip);
  canvas.addEventListener("dblclick", (event) => zoom(0.4, at(place(event)[0])));
  canvas.addEventListener("wheel", (event) => {
    if (event.ctrlKey || event.metaKey) zoom(Math.exp(event.deltaY * 0.004), at(place(event)[0]));
    else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) move(((event.deltaX || event.deltaY) / width) * 1);
    else return;
    event.preventDefault();
  }, { passive: false });

  const reveal = (item) => {
    if (item.begin < from || item.end > from + span) from = (item.begin + item.end) / 2 - span / 2;
    limit();
    const top = item.lane * row;
    if (top < view.scrollTop || top + row > view.scrollTop + height - AXIS) view.scrollTop = Math.max(0, top - (height - AXIS) / 2);
    later();
  };
  const goTo = (item) => {
    if (!item) return;
    focus = item;
    reveal(item);
    const box = canvas.getBoundingClientRect();
    Braid.showTip(item.tip(), box.left + Math.min(width, Math.max(gutter, x(item.begin))), box.top + y(item.lane) + row);
    Braid.say(item.tip());
  };
  const nearest = (lane, time) => {
    const all = byLane[lane];
    return all && all.length ? all[Math.min(firstAfter(all, time), all.length - 1)] : null;
  };
  const beside = (by) => {
    const lane = focus ? byLane[focus.lane] : null;
    return lane ? lane[lane.indexOf(focus) + by] : nearest(byLane.findIndex((it) => it.length > 0), from);
  };
  const otherLane = (by) => {
    if (!focus) return beside(0);
    for (let lane = focus.lane + by; lane >= 0 && lane < byLane.length; lane += by) {
      const item = nearest(lane, focus.begin);
      if (item) return item;
    }
    return null;
  };
  view.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const acts = {
      ArrowRight: () => goTo(beside(1)), ArrowLeft: () => goTo(beside(-1)),
      ArrowDown: () => goTo(otherLane(1)), ArrowUp: () => goTo(otherLane(-1)),
      "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), 0: () => show(0, end),
      Enter: () => focus && focus.transaction !== null && Braid.select(focus.transaction), Escape: Braid.hideTip,
    };
    const act = acts[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  view.addEventListener("focus", later);
  view.addEventListener("blur", () => { Braid.hideTip(); later(); });
  view.addEventListener("scroll", later);

  let last = 0;
  new ResizeObserver(() => { if (view.clientWidth !== last) { last = view.clientWidth; draw(); } }).observe(view);
  Braid.redraw.push(draw);
  Braid.listen("matches", later);
  Braid.listen("select", () => {
    const item = items.find((it) => it.transaction === Braid.selected && it.counts !== false);
    if (item && Braid.selected !== null) reveal(item);
    later();
  });
  draw();
  return { show, reveal, view, canvas, state: () => ({ from, span, end }) };
};
