// The codes that pads show: a sample with every class of the factor that colours them, and its legend.

import * as api from "./api.js";
import { classColour } from "./colours.js";
import { latestWins } from "./decoder.js";
import { byId, el } from "./dom.js";
import { HIDDEN, on, set, state } from "./state.js";

const MOST_ENTRIES = 8;

const chosenFactor = () => state.images?.factors?.find(({ name, size }) => name === state.colourBy && size > 1);

export const palette = (factor) => factor.classes.map((_, k) => classColour(k, factor.size, factor.ordered));

const load = latestWins(async () => {
  const { run, summary } = state;
  if (!summary || state.colourBy === HIDDEN) return set({ scatter: null });
  const factor = chosenFactor();
  const found = await api.scatter(run, factor?.name);
  if (run === state.run && factor === chosenFactor()) set({ scatter: { ...found, factor } });
});

// Classes of a legend: all, or some from the first to the last.
function entries({ size }) {
  const few = Math.min(size, MOST_ENTRIES);
  return Array.from({ length: few }, (_, k) => Math.round((k * (size - 1)) / Math.max(1, few - 1)));
}

function legend({ factor, counts, points }) {
  const shown = points.length / state.model.latents;
  const [few, all] = [shown, state.summary.sample].map((n) => n.toLocaleString("en"));
  const total = el("b", {}, shown < state.summary.sample ? `${few} of ${all} codes` : `${all} codes`);
  if (!factor) return [total];
  const colours = palette(factor);
  const classes = entries(factor).map((k) => el("span", {
    style: { "--dot": colours[k] }, title: `${(counts[k] ?? 0).toLocaleString("en")} codes`,
  }, factor.size > MOST_ENTRIES ? factor.classes[k] : `${factor.classes[k]} (${(counts[k] ?? 0).toLocaleString("en")})`));
  return [total, el("i", {}, `${factor.name}:`), ...classes];
}

export function startScatter() {
  on(["summary", "images", "colourBy"], load);
  on(["scatter", "model"], ({ scatter }) => {
    byId("codes-legend").hidden = !scatter;
    byId("codes-legend").replaceChildren(...(scatter ? legend(scatter) : []));
  });
}
