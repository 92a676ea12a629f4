// A study: every run a point of reconstruction and MIG; a click opens it; two runs side by side.

import * as api from "./api.js";
import { seriesColour } from "./colours.js";
import { byId, el, number, svg } from "./dom.js";
import { openRun } from "./opening.js";
import { paint, paintDifference } from "./pixels.js";
import { nameOf, on, state } from "./state.js";

const WIDTH = 720;
const HEIGHT = 340;
const MARGIN = { left: 52, right: 14, top: 12, bottom: 40 };
const STEPS = 7;

function ticks(low, high) {
  const step = 10 ** Math.floor(Math.log10((high - low) / 3));
  const wide = [1, 2, 5].map((k) => k * step).find((w) => (high - low) / w <= 6) ?? 10 * step;
  const found = [];
  for (let v = Math.ceil(low / wide) * wide; v <= high; v += wide) found.push(Number(v.toPrecision(6)));
  return found;
}

function axis(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const room = (high - low) * 0.08 || 1;
  return [low - room, high + room];
}

function scatter(rows, series) {
  const plotted = rows.filter((row) => row.mig !== null && row.reconstruction !== null);
  if (!plotted.length) return el("p", { class: "quiet" }, "No run has scores yet: isavae evaluate gives them.");
  const [x0, x1] = axis(plotted.map((row) => row.reconstruction));
  const [y0, y1] = axis(plotted.map((row) => row.mig));
  const x = (v) => MARGIN.left + ((v - x0) / (x1 - x0)) * (WIDTH - MARGIN.left - MARGIN.right);
  const y = (v) => HEIGHT - MARGIN.bottom - ((v - y0) / (y1 - y0)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  return svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "tradeoff", role: "group", "aria-label": "MIG against reconstruction, a point per run" },
    ticks(x0, x1).map((v) => svg("g", { class: "grid" },
      svg("line", { x1: x(v), x2: x(v), y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom }),
      svg("text", { x: x(v), y: HEIGHT - MARGIN.bottom + 16, "text-anchor": "middle" }, number(v, 0 === v % 1 ? 0 : 1)))),
    ticks(y0, y1).map((v) => svg("g", { class: "grid" },
      svg("line", { x1: MARGIN.left, x2: WIDTH - MARGIN.right, y1: y(v), y2: y(v) }),
      svg("text", { x: MARGIN.left - 8, y: y(v) + 4, "text-anchor": "end" }, number(v, 2)))),
    svg("text", { x: WIDTH - MARGIN.right, y: HEIGHT - 6, "text-anchor": "end", class: "label" }, "E log p(x|z), nats → better"),
    svg("text", { x: 0, y: 0, transform: `translate(12 ${MARGIN.top}) rotate(-90)`, "text-anchor": "end", class: "label" }, "MIG → better"),
    plotted.map((row) => point(row, x(row.reconstruction), y(row.mig), plotted.length > 200 ? 3.5 : 6, seriesColour(series.indexOf(row.series)))));
}

function point(row, cx, cy, r, colour) {
  const open = () => row.trained && openRun(row.id);
  const words = `${row.id}: ${row.series}, β ${row.beta ?? "–"}, MIG ${number(row.mig, 3)}, reconstruction ${number(row.reconstruction, 1)} nats`;
  return svg("circle", {
    cx, cy, r, class: "point", tabindex: 0, role: "button", "aria-label": `Open ${words}`, "data-run": row.id,
    style: { color: colour }, onclick: open,
    onkeydown: (event) => (event.key === "Enter" || event.key === " ") && (event.preventDefault(), open()),
  }, svg("title", {}, words));
}

function mark() {
  for (const node of byId("tradeoff").querySelectorAll("[data-run]")) {
    node.classList.toggle("selected", node.dataset.run === state.run);
  }
}

// One run's view of an image: reconstruction, difference, and its most informative latents swept.
async function view(run, index) {
  const [model, picture, insight] = await Promise.all([api.model(run), api.image(run, { index }), api.insight(run)]);
  const best = insight.information.map((nats, latent) => [nats, latent]).sort((a, b) => b[0] - a[0]).slice(0, 4).map(([, latent]) => latent);
  const reach = Math.max(model.range, insight.range);
  const sweep = (latent) => Array.from({ length: STEPS }, (_, k) => picture.mean.with(latent, reach * ((2 * k) / (STEPS - 1) - 1)));
  const [reconstruction, ...frames] = await api.decode(run, [picture.mean, ...best.flatMap(sweep)]);
  return { model, picture, best, reconstruction, frames };
}

function canvasOf(draw, label) {
  const canvas = el("canvas", { role: "img", "aria-label": label });
  draw(canvas);
  return canvas;
}

function column(row, { model, picture, best, reconstruction, frames }) {
  const strips = best.map((latent, k) => el("div", { class: "small-strip" }, el("span", {}, nameOf(latent)),
    frames.slice(k * STEPS, (k + 1) * STEPS).map((frame) => canvasOf((canvas) => paint(canvas, frame, model.shape), ""))));
  return el("div", { class: "column" },
    el("h4", {}, row.id), el("p", { class: "quiet" }, `${row.series}, β ${row.beta ?? "–"}${row.mig === null ? "" : `, MIG ${number(row.mig, 3)}`}`),
    el("div", { class: "thumbs" },
      el("figure", {}, canvasOf((canvas) => paint(canvas, picture.pixels, model.shape), "image"), el("figcaption", {}, "Image")),
      el("figure", {}, canvasOf((canvas) => paint(canvas, reconstruction, model.shape), "reconstruction"), el("figcaption", {}, "Reconstruction")),
      el("figure", {}, canvasOf((canvas) => paintDifference(canvas, picture.pixels, reconstruction, model.shape), "difference"), el("figcaption", {}, "Difference"))),
    strips);
}

function comparison(rows) {
  const trained = rows.filter((row) => row.trained);
  const columns = el("div", { class: "columns" });
  const select = el("select", { id: "compare-with", onchange: () => show() },
    el("option", { value: "" }, "choose a run"),
    trained.map((row) => el("option", { value: row.id }, `${row.id} · ${row.series} · β ${row.beta ?? "–"}`)));
  const show = async () => {
    if (!select.value || !state.images?.count) return columns.replaceChildren();
    const [left, right] = [state.run, select.value];
    const index = state.image?.index ?? 0;
    try {
      const views = await Promise.all([view(left, index), view(right, index)]);
      if (state.run !== left || select.value !== right) return;
      columns.replaceChildren(...[left, right].map((run, k) => column(rows.find((row) => row.id === run), views[k])));
    } catch (error) {
      columns.replaceChildren(el("p", { class: "quiet" }, error.message));
    }
  };
  on(["model", "image"], show);
  return [el("label", {}, "Compare the open run with ", select), columns];
}

export async function startStudy() {
  const rows = await api.studyRows();
  const series = [...new Set(rows.map((row) => row.series))];
  byId("study").hidden = false;
  byId("study-note").textContent = `${rows.length} runs; a click opens one`;
  byId("tradeoff").replaceChildren(
    el("p", { class: "legend" }, series.map((name, k) => el("span", { style: { "--dot": seriesColour(k) } }, name))),
    scatter(rows, series));
  byId("compare-panel").hidden = false;
  byId("compare").replaceChildren(...comparison(rows));
  mark();
  on(["run"], mark);
}
