// The trade-off of a study: every run a point of reconstruction and MIG, or KL where no factors are
// known; a click opens it.

import { seriesColour } from "./colours.js";
import { el, number, svg } from "./dom.js";
import { openRun } from "./opening.js";

const WIDTH = 720;
const HEIGHT = 340;
const MARGIN = { left: 52, right: 14, top: 12, bottom: 40 };
const RIGHT = WIDTH - MARGIN.right;
const BOTTOM = HEIGHT - MARGIN.bottom;
const MANY = 200; // runs from which on the points are small

// Measure upwards: its name, and the text along the axis.
const UPWARDS = { mig: ["MIG", "MIG → better"], kl: ["KL", "KL, nats"] };

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
  const found = ticks(low, high);
  const digits = Math.max(0, -Math.floor(Math.log10(found[1] - found[0]) + 1e-9)); // those that tell ticks apart
  return { place, ticks: found.map((value) => ({ value, text: number(value, digits) })) };
}

function grid(x, y, upwards) {
  return [
    ...x.ticks.map(({ value, text }) => svg("g", { class: "grid" },
      svg("line", { x1: x.place(value), x2: x.place(value), y1: MARGIN.top, y2: BOTTOM }),
      svg("text", { x: x.place(value), y: BOTTOM + 16, "text-anchor": "middle" }, text))),
    ...y.ticks.map(({ value, text }) => svg("g", { class: "grid" },
      svg("line", { x1: MARGIN.left, x2: RIGHT, y1: y.place(value), y2: y.place(value) }),
      svg("text", { x: MARGIN.left - 8, y: y.place(value) + 4, "text-anchor": "end" }, text))),
    svg("text", { x: RIGHT, y: HEIGHT - 6, "text-anchor": "end", class: "label" }, "E log p(x|z), nats → better"),
    svg("text", { transform: `translate(12 ${MARGIN.top}) rotate(-90)`, "text-anchor": "end", class: "label" },
      upwards),
  ];
}

function describe({ id, series, beta, mig, kl, reconstruction, chosen }) {
  const second = mig === null ? `KL ${number(kl, 1)} nats` : `MIG ${number(mig, 3)}`;
  return `${id}: ${series}, β ${beta ?? "–"}, ${second}, reconstruction ${number(reconstruction, 1)} nats${
    chosen ? "; chosen by isavae fit" : ""}`;
}

function point(row, cx, cy, r, colour) {
  const open = () => row.trained && openRun(row.id);
  const press = (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    open();
  };
  return svg("circle", {
    cx, cy, r: row.chosen ? r + 3 : r, class: row.chosen ? "point chosen" : "point", tabindex: 0, role: "button", "aria-label": `Open ${describe(row)}`,
    "data-run": row.id, style: { color: colour }, onclick: open, onkeydown: press,
  }, svg("title", {}, describe(row)));
}

export function tradeoff(rows) {
  const series = [...new Set(rows.map((row) => row.series))];
  const measure = rows.some((row) => row.mig !== null) ? "mig" : "kl";
  const scored = rows.filter((row) => row[measure] !== null && row.reconstruction !== null);
  if (!scored.length) return [el("p", { class: "quiet" }, "No run has scores yet: isavae evaluate gives them.")];
  const x = axis(scored.map((row) => row.reconstruction), MARGIN.left, RIGHT);
  const y = axis(scored.map((row) => row[measure]), BOTTOM, MARGIN.top);
  const r = scored.length > MANY ? 3.5 : 6;
  const points = scored.map((row) =>
    point(row, x.place(row.reconstruction), y.place(row[measure]), r, seriesColour(series.indexOf(row.series))));
  return [
    el("p", { class: "legend" }, series.map((name, k) => el("span", { style: { "--dot": seriesColour(k) } }, name)),
      scored.some((row) => row.chosen) ? el("span", { class: "ring" }, "chosen by isavae fit") : null),
    svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "tradeoff", role: "group",
      "aria-label": `${UPWARDS[measure][0]} against reconstruction, a point per run` },
      grid(x, y, UPWARDS[measure][1]), points),
  ];
}
