// The selected latent against every factor, and over the plane of two of them.

import * as api from "./api.js";
import { divergingColour, seriesColour } from "./colours.js";
import { latestWins } from "./decoder.js";
import { byId, el, number, svg } from "./dom.js";
import { nameOf, on, span, state } from "./state.js";

const WIDTH = 200;
const HEIGHT = 96;
let axes = [null, null];

function scale(values, size) {
  const at = (k) => (size === 1 ? WIDTH / 2 : 8 + (k / (size - 1)) * (WIDTH - 16));
  const up = (z) => HEIGHT / 2 - (z / values) * (HEIGHT / 2 - 4);
  return { at, up };
}

function path(points) {
  return points.map(([x, y], k) => `${k ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

function plotLine(line, colour, { at, up }) {
  const known = line.mean.map((mean, k) => [k, mean, line.std[k]]).filter(([, mean]) => mean !== null);
  const above = known.map(([k, mean, std]) => [at(k), up(mean + std)]);
  const below = known.map(([k, mean, std]) => [at(k), up(mean - std)]).reverse();
  const centre = known.map(([k, mean]) => [at(k), up(mean)]);
  return svg("g", { style: { color: colour } },
    svg("path", { class: "spread", d: `${path([...above, ...below])}Z` }),
    svg("path", { class: "line", d: path(centre) }),
    known.length <= 8 ? centre.map(([x, y]) => svg("circle", { cx: x, cy: y, r: 2.4, class: "dot" })) : []);
}

function colourOf(k, lines) {
  return lines > 1 ? seriesColour(k) : "var(--accent)";
}

function plot(curve, limit) {
  const scales = scale(limit, curve.classes.length);
  const lines = curve.lines.map((line, k) => plotLine(line, colourOf(k, curve.lines.length), scales));
  return el("figure", { class: "plot" }, el("figcaption", {}, curve.factor),
    svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": describe(curve) },
      svg("line", { class: "zero", x1: 0, x2: WIDTH, y1: HEIGHT / 2, y2: HEIGHT / 2 }), lines));
}

function legend(curves) {
  const split = curves.find((curve) => curve.lines.length > 1);
  if (!split) return null;
  const entries = split.lines.map((line, k) => el("span", { style: { "--dot": seriesColour(k) } }, line.name));
  return el("p", { class: "legend" }, entries);
}

function describe(curve) {
  const ends = curve.lines[0].mean.filter((mean) => mean !== null);
  return `Mean code over ${curve.factor}: from ${number(ends[0])} to ${number(ends.at(-1))}`;
}

function plane(rows, limit, x, y) {
  const cells = rows.flatMap((row, j) => row.map((value, i) => value === null ? null
    : svg("rect", { x: i, y: j, width: 1, height: 1, style: { fill: divergingColour(value, limit) } })));
  return el("figure", { class: "map" },
    svg("svg", { viewBox: `0 0 ${rows[0].length} ${rows.length}`, preserveAspectRatio: "none", role: "img",
      "aria-label": `Mean code over ${x} to the right and ${y} downwards: blue negative, red positive` }, cells),
    el("figcaption", {}, el("label", {}, "→ ", choice(0, x)), el("label", {}, "↓ ", choice(1, y)),
      el("span", { class: "scale" }, number(-limit, 1), el("i"), number(limit, 1))));
}

function choice(axis, chosen) {
  const others = state.summary.factors.filter((factor) => factor !== axes[1 - axis]);
  const select = el("select", {
    "aria-label": axis ? "Factor downwards" : "Factor to the right",
    onchange: () => { axes = axes.with(axis, select.value); refresh(); },
  }, others.map((factor) => el("option", { value: factor, selected: factor === chosen }, factor)));
  return select;
}

// The plane of the image, where there is one; else the two factors with most classes.
function defaultAxes(images) {
  const factors = images.factors.filter((factor) => state.summary.factors.includes(factor.name));
  const position = ["posX", "posY"].map((name) => factors.find((factor) => factor.name === name)?.name);
  if (position.every(Boolean)) return position;
  const most = factors.sort((a, b) => b.size - a.size).slice(0, 2).map((factor) => factor.name);
  return most.length === 2 ? most : [null, null];
}

const refresh = latestWins(async () => {
  const { run, latent, summary, images } = state;
  if (!summary?.factors.length) return;
  if (!axes.every((factor) => summary.factors.includes(factor))) axes = defaultAxes(images);
  const [x, y] = axes;
  const answer = await api.curves(run, x ? { latent, x, y } : { latent });
  if (run !== state.run || latent !== state.latent) return refresh();
  const means = answer.curves.flatMap((curve) => curve.lines.flatMap((line) => line.mean));
  const limit = Math.max(span() / 2, ...means.map((mean) => Math.abs(mean ?? 0)));
  const parts = [
    legend(answer.curves),
    el("div", { class: "plots" }, answer.curves.map((curve) => plot(curve, limit))),
    el("p", { class: "quiet" }, "Lines: mean of the posterior means at each class; bands: their standard deviation."),
  ];
  byId("curves").replaceChildren(...parts.filter(Boolean));
  byId("plane-panel").hidden = !answer.plane;
  if (answer.plane) byId("plane").replaceChildren(plane(answer.plane, limit, x, y));
});

export function startSheet() {
  on(["summary", "images"], ({ summary }) => {
    const known = Boolean(summary?.factors.length);
    byId("curves-panel").hidden = !known;
    byId("plane-panel").hidden = !known;
  });
  on(["latent", "names"], ({ latent }) => {
    byId("curves-title").textContent = `${nameOf(latent)} against the factors`;
    byId("plane-title").textContent = `${nameOf(latent)} over two factors`;
  });
  on(["summary", "images", "latent"], ({ summary, images }) => summary && images && refresh());
}
