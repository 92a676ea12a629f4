// The trade-off of a study: every run a point of reconstruction and MIG; a click opens it.

import { seriesColour } from "./colours.js";
import { el, number, svg } from "./dom.js";
import { openRun } from "./opening.js";

const WIDTH = 720;
const HEIGHT = 340;
const MARGIN = { left: 52, right: 14, top: 12, bottom: 40 };
const RIGHT = WIDTH - MARGIN.right;
const BOTTOM = HEIGHT - MARGIN.bottom;
const MANY = 200; // runs from which on the points are small

function ticks(low, high) {
  const step = 10 ** Math.floor(Math.log10((high - low) / 3));
  const wide = [1, 2, 5].map((k) => k * step).find((w) => (high - low) / w <= 6) ?? 10 * step;
  const found = [];
  for (let v = Math.ceil(low / wide) * wide; v <= high; v += wide) found.push(Number(v.toPrecision(6)));
  return found;
}

// From values to places between `start` and `end`, with some room beyond the outermost ones.
function axis(values, start, end) {
  const [lowest, highest] = [Math.min(...values), Math.max(...values)];
  const room = (highest - lowest) * 0.08 || 1;
  const [low, high] = [lowest - room, highest + room];
  const place = (v) => start + ((v - low) / (high - low)) * (end - start);
  return { place, ticks: ticks(low, high) };
}

function grid(x, y) {
  return [
    ...x.ticks.map((v) => svg("g", { class: "grid" },
      svg("line", { x1: x.place(v), x2: x.place(v), y1: MARGIN.top, y2: BOTTOM }),
      svg("text", { x: x.place(v), y: BOTTOM + 16, "text-anchor": "middle" }, number(v, Number.isInteger(v) ? 0 : 1)))),
    ...y.ticks.map((v) => svg("g", { class: "grid" },
      svg("line", { x1: MARGIN.left, x2: RIGHT, y1: y.place(v), y2: y.place(v) }),
      svg("text", { x: MARGIN.left - 8, y: y.place(v) + 4, "text-anchor": "end" }, number(v, 2)))),
    svg("text", { x: RIGHT, y: HEIGHT - 6, "text-anchor": "end", class: "label" }, "E log p(x|z), nats → better"),
    svg("text", { transform: `translate(12 ${MARGIN.top}) rotate(-90)`, "text-anchor": "end", class: "label" },
      "MIG → better"),
  ];
}

function describe({ id, series, beta, mig, reconstruction }) {
  return `${id}: ${series}, β ${beta ?? "–"}, MIG ${number(mig, 3)}, reconstruction ${number(reconstruction, 1)} nats`;
}

function point(row, cx, cy, r, colour) {
  const open = () => row.trained && openRun(row.id);
  const press = (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    open();
  };
  return svg("circle", {
    cx, cy, r, class: "point", tabindex: 0, role: "button", "aria-label": `Open ${describe(row)}`,
    "data-run": row.id, style: { color: colour }, onclick: open, onkeydown: press,
  }, svg("title", {}, describe(row)));
}

export function tradeoff(rows) {
  const series = [...new Set(rows.map((row) => row.series))];
  const scored = rows.filter((row) => row.mig !== null && row.reconstruction !== null);
  if (!scored.length) return [el("p", { class: "quiet" }, "No run has scores yet: isavae evaluate gives them.")];
  const x = axis(scored.map((row) => row.reconstruction), MARGIN.left, RIGHT);
  const y = axis(scored.map((row) => row.mig), BOTTOM, MARGIN.top);
  const r = scored.length > MANY ? 3.5 : 6;
  const points = scored.map((row) =>
    point(row, x.place(row.reconstruction), y.place(row.mig), r, seriesColour(series.indexOf(row.series))));
  return [
    el("p", { class: "legend" }, series.map((name, k) => el("span", { style: { "--dot": seriesColour(k) } }, name))),
    svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "tradeoff", role: "group",
      "aria-label": "MIG against reconstruction, a point per run" }, grid(x, y), points),
  ];
}
