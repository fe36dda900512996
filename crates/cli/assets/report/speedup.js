"use strict";
/* Speed-up against workers: bounds as lines, what was measured and simulated as points. */
Braid.speedup = (block) => {
  const { byId, el } = Braid;
  const costs = Braid.costs(block);
  const simulated = block.speedups.filter((it) => it.simulated !== null);
  const measured = block.speedups.filter((it) => it.measured !== null);
  const workers = [...new Set([...costs.workers.map((it) => it.workers), ...block.speedups.map((it) => it.workers)])].sort((a, b) => a - b);
  const bound = (name) => workers.map((count) => {
    const row = costs.workers.find((it) => it.workers === count);
    return row ? Braid.ratio(costs.work, row[name]) : null;
  });
  const points = (name) => workers.map((count) => {
    const row = block.speedups.find((it) => it.workers === count);
    return row ? row[name] : null;
  });
  const unit = block.by === "gas" ? "gas" : "time as measured here";
  byId("speedup-note").textContent =
    `Lines: bounds by ${unit}; late read and conflict chain are those of an engine that reads each balance that it pays into. ` +
    (simulated.length ? "Blue points: Braid simulated, its own scheduler on simulated workers. " : "") +
    (measured.length ? `Large points: measured here on ${measured.map((it) => it.workers).join(", ")} workers; these times include building the result, and the effect of other load on this machine.${block.measured && block.measured.busy_share ? " The machine was busy: these points are unreliable." : ""}` : "Nothing was measured here: --rounds was 0, or there is one core.");

  const names = ["no conflicts", "late read", "conflict chain"];
  const lines = [bound("no_conflicts"), bound("late_read"), bound("chain")];
  const all = [...lines, points("simulated"), points("measured")];
  const best = (list) => list.reduce((most, it) => Math.max(most, it || 0), 0);
  byId("speedup").setAttribute("aria-label",
    `Chart of speed-up against workers. Bounds on 16 workers: ${names.map((name, index) => `${name} ${Braid.times(lines[index][workers.indexOf(16)])}`).join(", ")}. ` +
    `Best simulated ${Braid.times(best(all[3]))}, best measured ${Braid.times(best(all[4]))}. The table below has all numbers.`);

  Braid.table(byId("speedup-table"), {
    caption: "Speed-up over sequential execution",
    rows: workers.map((count, index) => ({ count, values: all.map((list) => list[index]) })),
    columns: [{ name: "workers", number: true, of: (row) => row.count },
      ...[...names, "Braid, simulated", "Braid, measured here"].map((name, index) => ({ name, number: true, of: (row) => row.values[index], show: Braid.times }))],
  });

  const box = byId("speedup");
  let chart = null;
  let wide = 0;
  const draw = () => {
    const width = box.clientWidth;
    if (width === 0) return;
    wide = width;
    const ink = () => Braid.colour("muted");
    const grid = { stroke: () => Braid.colour("soft"), width: 1 };
    const series = (label, colour, more) => ({
      label, stroke: () => Braid.colour(colour), width: 2, value: (_, value) => Braid.times(value), spanGaps: true, ...more,
    });
    const dots = (size) => ({ show: true, size, fill: undefined });
    const powers = (low, high) => {
      const all = [];
      for (let it = low; it <= high; it *= 2) all.push(it);
      return all;
    };
    const text = "12px system-ui, sans-serif";
    if (chart) chart.destroy();
    chart = new uPlot({
      width, height: Math.max(240, Math.min(380, width * 0.6)),
      scales: { x: { time: false, distr: 3, log: 2 }, y: { distr: 3, log: 2, range: (_, low, high) => [2 ** Math.floor(Math.log2(Math.min(1, low))), 2 ** Math.ceil(Math.log2(Math.max(2, high)))] } },
      axes: [
        { stroke: ink, grid, font: text, labelFont: text, label: "workers", size: 34, labelSize: 20, ticks: grid, splits: () => workers.filter((it) => Number.isInteger(Math.log2(it))), values: (_, at) => at.map((it) => (it === null ? "" : String(it))) },
        { stroke: ink, grid, font: text, labelFont: text, label: "times as fast", size: 44, labelSize: 20, ticks: grid, splits: (_, axis, low, high) => powers(low, high), values: (_, at) => at.map((it) => (it === null ? "" : `${it}x`)) },
      ],
      series: [
        { label: "workers", value: (_, value) => (value === null ? "-" : String(value)) },
        series(names[0], "bound-b", { dash: [8, 4], points: { show: false } }),
        series(names[1], "bound-a", { dash: [3, 3], points: { show: false } }),
        series(names[2], "bound-c", { points: { show: false } }),
        series("simulated", "virtual", { width: 1, points: { ...dots(7), fill: Braid.colour("virtual") } }),
        series("measured here", "measured", { width: 0, points: { ...dots(11), fill: Braid.colour("measured") } }),
      ],
      cursor: { points: { size: 8 } },
    }, [workers, ...all], box);
  };
  new ResizeObserver(() => { if (box.clientWidth !== wide) draw(); }).observe(box);
  Braid.redraw.push(draw);
  draw();
};
