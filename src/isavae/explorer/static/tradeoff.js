// The trade-off of a study: every run a point of reconstruction and MIG, or KL where no factors are
// known; a click opens it. Beneath them the medians over seeds, above them what the paper prints.

import { axes } from "./chart.js";
import { el, number, svg } from "./dom.js";
import { markOf } from "./marks.js";
import { medians } from "./medians.js";
import { openRun } from "./opening.js";

const HEIGHT = 380;
const MANY = 200; // runs from which on the points are small

// Measure upwards: its name, and the text along the axis.
const UPWARDS = { mig: ["MIG", "MIG → better"], kl: ["KL", "KL, nats"] };

export const measureOf = (rows) => (rows.some((row) => row.mig !== null) ? "mig" : "kl");

function describe({ id, series, beta, mig, kl, reconstruction, chosen }) {
  const second = mig === null ? `KL ${number(kl, 1)} nats` : `MIG ${number(mig, 3)}`;
  return `${id}: ${series}, β ${beta ?? "–"}, ${second}, reconstruction ${number(reconstruction, 1)} nats${
    chosen ? "; chosen by isavae fit" : ""}`;
}

function point(row, x, y, r, { colour, shape }) {
  const open = () => row.trained && openRun(row.id);
  const press = (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    open();
  };
  return svg("g", { transform: `translate(${x} ${y}) scale(${row.chosen ? r + 3 : r})` }, svg("path", {
    d: shape, class: row.chosen ? "point chosen" : "point", tabindex: 0, role: "button", "aria-label": `Open ${describe(row)}`,
    "data-run": row.id, style: { color: colour }, onclick: open, onkeydown: press,
  }, svg("title", {}, describe(row))));
}

const range = ({ low, middle, high }, digits) =>
  `${number(middle, digits)} (${number(low, digits)} to ${number(high, digits)})`;

function median(group, place, { colour }, measure) {
  const { x, y, series, beta, count } = group;
  const [cx, cy] = [place.x(x.middle), place.y(y.middle)];
  const said = `${series}, β ${beta ?? "–"}: medians over ${count} runs (quartiles): ${UPWARDS[measure][0]} ${
    range(y, measure === "mig" ? 3 : 1)}, reconstruction ${range(x, 1)} nats`;
  return svg("g", { class: "median", style: { color: colour }, role: "img", "aria-label": said },
    svg("title", {}, said),
    svg("line", { x1: place.x(x.low), x2: place.x(x.high), y1: cy, y2: cy }),
    svg("line", { x1: cx, x2: cx, y1: place.y(y.low), y2: place.y(y.high) }),
    svg("circle", { cx, cy, r: 3.5 }));
}

// Places of a label about its point, from the nearest: its offset, and its side of it.
const BESIDE = [1, 2.6].flatMap((far) => [[6, -6 * far], [6, 14 * far], [-6, -6 * far], [-6, 14 * far]]);

// The β of medians, each where it covers the least of other labels and of points.
function labels(groups, place, points) {
  const taken = points.map(([x, y]) => ({ left: x - 6, right: x + 6, top: y - 6, bottom: y + 6 }));
  const covered = (a) => taken.reduce((sum, b) => sum + Math.max(0, Math.min(a.right, b.right) - Math.max(a.left, b.left))
    * Math.max(0, Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)), 0);
  return groups.filter(({ beta }) => beta !== null).map(({ x, y, beta }) => {
    const [text, cx, cy] = [`β ${beta}`, place.x(x.middle), place.y(y.middle)];
    const boxes = BESIDE.map(([dx, dy]) => {
      const left = dx > 0 ? cx + dx : cx + dx - 6.5 * text.length;
      return { left, right: left + 6.5 * text.length, top: cy + dy - 10, bottom: cy + dy + 2 };
    });
    const best = boxes.reduce((a, b) => (covered(b) < covered(a) ? b : a));
    taken.push(best);
    return svg("text", { class: "median-label", x: best.left, y: best.bottom - 2, "aria-hidden": "true" }, text);
  });
}

function printed({ model, beta, mig, reconstruction }, place, mark) {
  const said = `Printed in the paper: ${model}, β ${beta}, MIG ${number(mig)}, reconstruction ${number(reconstruction)} nats`;
  return svg("g", { class: "printed", transform: `translate(${place.x(reconstruction)} ${place.y(mig)})`, style: { color: mark.colour },
    role: "img", "aria-label": said },
  svg("title", {}, said), svg("path", { d: "M0-8L8 0L0 8L-8 0Z" }), svg("text", { x: -11, y: 4, "text-anchor": "end" }, `${model}, β ${beta}`));
}

// The chart of these rows; `series` are those of the whole study, so that marks stay the same.
export function tradeoff(rows, { series, withMedians = false, paper = [], width = 720 }) {
  const measure = measureOf(rows);
  const scored = rows.filter((row) => row[measure] !== null && row.reconstruction !== null);
  if (!scored.length) {
    return el("p", { class: "quiet" }, rows.length ? "No run has scores yet: isavae evaluate gives them." : "No run is shown.");
  }
  const drawn = measure === "mig" ? [...scored, ...paper] : scored;
  const place = axes(drawn.map((row) => row.reconstruction), drawn.map((row) => row[measure]),
    { width, height: HEIGHT, labels: ["E log p(x|z), nats → better", UPWARDS[measure][1]] });
  const mark = (name) => markOf(series.indexOf(name));
  const r = scored.length > MANY ? 3.5 : 6;
  const groups = withMedians ? medians(scored, measure) : [];
  const points = scored.map((row) => [place.x(row.reconstruction), place.y(row[measure])]);
  return svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, class: "tradeoff", role: "group",
    "aria-label": `${UPWARDS[measure][0]} against reconstruction, a point per run` },
  place.grid,
  groups.map((group) => median(group, place, mark(group.series), measure)),
  scored.map((row, k) => point(row, ...points[k], r, mark(row.series))),
  labels(groups, place, points),
  measure === "mig" ? paper.map((run) => printed(run, place, series.includes(run.model) ? mark(run.model) : { colour: "var(--soft)" })) : []);
}
