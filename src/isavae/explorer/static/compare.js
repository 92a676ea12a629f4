// Two runs of a study side by side, on the same image.

import * as api from "./api.js";
import { el, number } from "./dom.js";
import { paint, paintDifference } from "./pixels.js";
import { on, state } from "./state.js";

const STEPS = 7;
const LATENTS = 4;

// One run's view of an image: its reconstruction, and its most informative latents swept.
async function view(run, index) {
  const [model, image, summary] = await Promise.all([
    api.model(run), api.image(run, { index }), api.summary(run),
  ]);
  const ranked = summary.information.map((nats, latent) => ({ nats, latent })).sort((a, b) => b.nats - a.nats);
  const latents = ranked.slice(0, LATENTS).map(({ latent }) => latent);
  const reach = Math.max(model.range, summary.range);
  const values = Array.from({ length: STEPS }, (_, k) => reach * ((2 * k) / (STEPS - 1) - 1));
  const sweeps = latents.flatMap((latent) => values.map((value) => image.mean.with(latent, value)));
  const [reconstruction, ...frames] = await api.decode(run, [image.mean, ...sweeps]);
  return { model, image, latents, reconstruction, frames };
}

function painted(label, draw) {
  const canvas = el("canvas", { role: "img", "aria-label": label });
  draw(canvas);
  return canvas;
}

function figure(label, draw) {
  return el("figure", {}, painted(label, draw), el("figcaption", {}, label));
}

function strip(name, frames, shape) {
  const canvases = frames.map((frame) => painted("", (canvas) => paint(canvas, frame, shape)));
  return el("div", { class: "small-strip", role: "img", "aria-label": `Traversal of ${name}` },
    el("span", { title: name }, name), canvases);
}

function settingsOf({ series, beta, mig }) {
  return `${series}, β ${beta ?? "–"}${mig === null ? "" : `, MIG ${number(mig, 3)}`}`;
}

function column(row, { model, image, latents, reconstruction, frames }) {
  const { shape } = model;
  return el("div", { class: "column" },
    el("h4", {}, row.id),
    el("p", { class: "quiet" }, settingsOf(row)),
    el("div", { class: "thumbs" },
      figure("Image", (canvas) => paint(canvas, image.pixels, shape)),
      figure("Reconstruction", (canvas) => paint(canvas, reconstruction, shape)),
      figure("Difference", (canvas) => paintDifference(canvas, image.pixels, reconstruction, shape))),
    latents.map((latent, k) => strip(model.names[latent], frames.slice(k * STEPS, (k + 1) * STEPS), shape)));
}

// The panel, and a function that chooses its second run.
export function comparison(rows) {
  const columns = el("div", { class: "columns" });
  const choice = (id, label, none) => el("select", { id, "aria-label": label, onchange: () => show() }, el("option", { value: "" }, none),
    rows.filter((row) => row.trained).map((row) => el("option", { value: row.id }, `${row.id} · ${settingsOf(row)}`)));
  const first = choice("compare-first", "First run to compare", "the open run");
  const second = choice("compare-with", "Second run to compare", "choose a run");
  const chosen = () => [first.value || state.run, second.value];
  const show = async () => {
    if (!second.value || !state.images?.count) return columns.replaceChildren();
    const both = chosen();
    const index = state.image?.index ?? 0;
    try {
      const views = await Promise.all(both.map((run) => view(run, index)));
      if (chosen().some((run, k) => run !== both[k])) return;
      const found = both.map((run) => rows.find((row) => row.id === run));
      columns.replaceChildren(...found.map((row, k) => column(row, views[k])));
    } catch (error) {
      columns.replaceChildren(el("p", { class: "quiet" }, error.message));
    }
  };
  on(["images", "image"], show);
  const compareWith = (run) => {
    second.value = run;
    show();
    second.scrollIntoView({ block: "nearest" });
  };
  return { panel: [el("div", { class: "compare-choice" }, el("label", {}, "Compare", first), el("label", {}, "with", second)), columns], compareWith };
}
