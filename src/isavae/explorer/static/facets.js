// What of a study is shown: a text to match, and models and β that are switched off.

import { el } from "./dom.js";
import { inlineMark } from "./marks.js";

const FIELDS = { beta: "beta", β: "beta", seed: "seed", model: "series", run: "id", status: "status" };

// Every word must occur in the run's name, model or status; `beta=2` and the like must be equal.
export function matches(row, text) {
  const said = `${row.id} ${row.series} ${row.status}`.toLowerCase();
  return text.toLowerCase().split(/\s+/).filter(Boolean).every((word) => {
    const [name, value] = word.split("=");
    if (value === undefined || !FIELDS[name]) return said.includes(word);
    return !value || String(row[FIELDS[name]]).toLowerCase() === value;
  });
}

export const isShown = (row, { text, hidden }) =>
  !hidden.series.has(row.series) && !hidden.beta.has(row.beta) && matches(row, text);

function chip(pressed, onPress, ...content) {
  return el("button", { class: "facet", "aria-pressed": String(pressed), onclick: onPress }, ...content);
}

// A chip per value of a facet that is shown while it is pressed; `content` is that of its chip.
function facet(title, values, hidden, content, onChange) {
  const toggle = (value) => {
    if (!hidden.delete(value)) hidden.add(value);
    onChange();
  };
  return el("div", { class: "chips", role: "group", "aria-label": title },
    el("span", { class: "quiet" }, title), values.map((value) => chip(!hidden.has(value), () => toggle(value), ...content(value))));
}

// The chips of a study: models, which are the legend too, β, and layers that can be switched on.
export function facets(view, { rows, series, layers, onChange }) {
  const betas = [...new Set(rows.map((row) => row.beta))].sort((a, b) => a - b);
  const count = (name) => el("small", {}, ` ${rows.filter((row) => row.series === name).length}`);
  return [
    facet("Models", series, view.hidden.series, (name) => [inlineMark(series.indexOf(name)), name, count(name)], onChange),
    betas.length > 1 ? facet("β", betas, view.hidden.beta, (beta) => [`${beta ?? "–"}`], onChange) : null,
    layers.length ? el("div", { class: "chips", role: "group", "aria-label": "Layers" }, el("span", { class: "quiet" }, "Layers"),
      layers.map(({ name, title }) => chip(view[name], () => { view[name] = !view[name]; onChange(); }, title))) : null,
  ].filter(Boolean);
}
