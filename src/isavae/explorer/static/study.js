// The study that the page was opened on: its runs as points and as a list, two of them side by side.

import * as api from "./api.js";
import { comparison } from "./compare.js";
import { byId, el } from "./dom.js";
import { facets, isShown } from "./facets.js";
import { medians } from "./medians.js";
import { runList } from "./runlist.js";
import { on, state } from "./state.js";
import { measureOf, tradeoff } from "./tradeoff.js";

const QUARTILES = "Crosses: medians over seeds; their bars reach from the lower to the upper quartile.";
const PRINTED = "Diamonds: what the paper prints of one representative run each. Its log p is that of the first 10,000 images, "
  + "all small squares: compare MIG only.";

const marked = (name, run) => {
  for (const node of byId("study").querySelectorAll("[data-run]")) node.classList.toggle(name, node.dataset.run === run);
};

function select() {
  marked("selected", state.run);
}

export async function startStudy() {
  const { rows, printed } = await api.study();
  const series = [...new Set(rows.map((row) => row.series))].sort();
  const measure = measureOf(rows);
  const view = {
    text: "", hidden: { series: new Set(), beta: new Set() }, medians: true, printed: false,
    sort: { by: measure === "mig" ? "mig" : "reconstruction", down: true },
  };
  const scored = rows.filter((row) => row[measure] !== null && row.reconstruction !== null);
  const layers = [
    medians(scored, measure).length ? { name: "medians", title: "medians over seeds" } : null,
    printed.length && measure === "mig" ? { name: "printed", title: "printed in the paper" } : null,
  ].filter(Boolean);
  const isOn = (name) => view[name] && layers.some((layer) => layer.name === name);
  const { panel, compareWith } = comparison(rows);
  const shown = () => rows.filter((row) => isShown(row, view));

  const drawList = () => {
    byId("run-list").replaceChildren(...runList(shown(), {
      all: rows, series, sort: view.sort, onPoint: (run) => marked("pointed", run), onCompare: compareWith,
      onSort: (sort) => { view.sort = sort; drawList(); byId("run-list").querySelector(`[data-column="${sort.by}"]`).focus(); },
    }));
    select();
  };
  const drawChart = () => {
    const width = Math.max(280, byId("tradeoff").clientWidth);
    const paper = isOn("printed") ? printed : [];
    byId("tradeoff").replaceChildren(
      tradeoff(shown(), { series, withMedians: isOn("medians"), paper, width }),
      el("p", { class: "quiet" }, [isOn("medians") ? QUARTILES : "", isOn("printed") ? PRINTED : ""].join(" ")),
      ...(rows.some((row) => row.chosen) ? [el("p", { class: "legend" }, el("span", { class: "ring" }, "chosen by isavae fit"))] : []));
    select();
  };
  const draw = () => {
    const focused = document.activeElement?.closest(".facet")?.textContent;
    byId("facets").replaceChildren(...facets(view, { rows, series, layers, onChange: draw }));
    [...byId("facets").querySelectorAll(".facet")].find((chip) => chip.textContent === focused)?.focus();
    byId("study-note").textContent = `${shown().length} of ${rows.length} runs; a click opens one`;
    drawList();
    drawChart();
  };

  byId("run-filter").addEventListener("input", (event) => { view.text = event.target.value; draw(); });
  byId("study").hidden = false;
  byId("compare-panel").hidden = false;
  byId("compare").replaceChildren(...panel);
  draw();
  let width = byId("tradeoff").clientWidth;
  new ResizeObserver(() => {
    if (byId("tradeoff").clientWidth === width) return; // the chart changes the height itself
    width = byId("tradeoff").clientWidth;
    drawChart();
  }).observe(byId("tradeoff"));
  on(["run"], select);
}
