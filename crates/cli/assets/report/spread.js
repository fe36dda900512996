"use strict";
/* Charts of many blocks: how many reach which speed-up, and each fork beside the others. */
Braid.measures = [
  { name: "no conflicts", key: "no_conflicts", of: (row) => Braid.ratio(row.gas, row.longest), colour: "bound-b", dash: [8, 4] },
  { name: "late read", key: "late_read", of: (row) => Braid.ratio(row.gas, row.late_read), colour: "bound-a", dash: [3, 3] },
  { name: "conflict chain", key: "chain", of: (row) => Braid.ratio(row.gas, row.chain), colour: "bound-c", dash: null },
  { name: "Braid, simulated", key: "simulated", of: (row) => row.simulated_speedup, colour: "virtual", dash: null },
  { name: "Braid, measured here", key: "measured", of: (row) => row.measured_speedup, colour: "measured", dash: null },
];

Braid.chart = (box, options, data) => {
  let chart = null;
  let wide = 0;
  const draw = () => {
    const width = box.clientWidth;
    if (width === 0) return;
    wide = width;
    if (chart) chart.destroy();
    chart = new uPlot({ width, height: Math.max(240, Math.min(360, width * 0.55)), ...options(width) }, data, box);
  };
  box.replaceChildren();
  const watch = new ResizeObserver(() => { if (box.clientWidth !== wide) draw(); });
  watch.observe(box);
  Braid.redraw.push(draw);
  draw();
  return () => { watch.disconnect(); Braid.redraw.splice(Braid.redraw.indexOf(draw), 1); if (chart) chart.destroy(); };
};

const ink = () => Braid.colour("muted");
const grid = { stroke: () => Braid.colour("soft"), width: 1 };
const text = "12px system-ui, sans-serif";
const axis = (label, size, more) => ({ stroke: ink, grid, ticks: grid, font: text, labelFont: text, label, size, labelSize: 20, ...more });
const powers = (low, high) => {
  const all = [];
  for (let it = low; it <= high * 1.001; it *= 2) all.push(it);
  return all;
};
/* What is a little slower than in sequence needs no room of its own. */
const wide = (_, low, high) => [low > 0.9 ? 1 : 2 ** Math.floor(Math.log2(low)), 2 ** Math.ceil(Math.log2(Math.max(2, high)))];
const times = (it) => (it === null || it === undefined ? "" : `${it >= 1 ? it : Number(it.toPrecision(2))}x`);

/* Share of the blocks that reach at least a speed-up: a step down at each block. */
Braid.spread = (box, rows) => {
  const shown = Braid.measures.map((measure) => ({ ...measure, values: rows.map(measure.of).filter((it) => it !== null).sort((a, b) => a - b) })).filter((it) => it.values.length > 0);
  const places = [...new Set(shown.flatMap((it) => it.values))].sort((a, b) => a - b);
  const share = ({ values }) => {
    let below = 0;
    return places.map((place) => {
      while (below < values.length && values[below] < place) below += 1;
      return below === values.length ? null : (100 * (values.length - below)) / values.length;
    });
  };
  const stepped = uPlot.paths.stepped({ align: -1 });
  return Braid.chart(box, () => ({
    scales: { x: { time: false, distr: 3, log: 2, range: wide }, y: { range: [0, 104] } },
    axes: [
      axis("times as fast", 34, { splits: (_, __, low, high) => powers(low, high), values: (_, at) => at.map(times) }),
      axis("of the blocks", 52, { splits: () => [0, 25, 50, 75, 100], values: (_, at) => at.map((it) => `${it} %`) }),
    ],
    series: [
      { label: "at least", value: (_, value) => Braid.times(value) },
      ...shown.map((it) => ({ label: it.name, stroke: () => Braid.colour(it.colour), width: 2, dash: it.dash, paths: stepped, points: { show: false }, value: (_, value) => (value === null ? "-" : `${value.toFixed(0)} %`) })),
    ],
    cursor: { points: { size: 7 } },
  }), [places, ...shown.map(share)]);
};

/* Medians of each fork, and each block as a point beside its fork. */
Braid.byFork = (box, groups, rows, labels) => {
  const shown = Braid.measures.filter((it) => it.key !== "no_conflicts" && groups.some((group) => group.speedups[it.key]));
  const places = groups.map((_, index) => index);
  const median = (key) => groups.map((group) => (group.speedups[key] ? group.speedups[key].median : null));
  const points = [];
  groups.forEach((group, index) => {
    const own = rows.filter((row) => row.fork === group.fork);
    own.forEach((row, at) => points.push([index + (own.length === 1 ? 0 : ((at / (own.length - 1)) - 0.5) * 0.5), Braid.ratio(row.gas, row.chain)]));
  });
  const dots = (chart) => {
    const { ctx } = chart;
    ctx.save();
    ctx.globalAlpha = 0.45;
    ctx.fillStyle = Braid.colour("bound-c");
    for (const [x, y] of points) {
      ctx.beginPath();
      ctx.arc(chart.valToPos(x, "x", true), chart.valToPos(y, "y", true), 2.5 * devicePixelRatio, 0, 2 * Math.PI);
      ctx.fill();
    }
    ctx.restore();
  };
  const highest = points.reduce((most, [, y]) => Math.max(most, y), 2);
  return Braid.chart(box, (width) => ({
    scales: { x: { time: false, range: [-0.6, groups.length - 0.4] }, y: { distr: 3, log: 2, range: (chart, low, high) => wide(chart, low, Math.max(high, highest)) } },
    axes: [
      axis("", 124, { labelSize: 0, label: null, rotate: -90, splits: () => places, values: () => (width / groups.length < 14 ? places.map(() => "") : labels) }),
      axis("times as fast", 44, { splits: (_, __, low, high) => powers(low, high), values: (_, at) => at.map(times) }),
    ],
    series: [
      { label: "fork", value: (_, value) => (value === null ? "-" : labels[Math.round(value)] || "-") },
      ...shown.map((it) => ({ label: `${it.name}, median`, stroke: () => Braid.colour(it.colour), width: 2, dash: it.dash, spanGaps: true, points: { show: true, size: 7, fill: () => Braid.colour(it.colour) }, value: (_, value) => Braid.times(value) })),
    ],
    hooks: { draw: [dots] },
    cursor: { points: { size: 9 } },
  }), [places, ...shown.map((it) => median(it.key))]);
};
