// The study that the page was opened on: its trade-off, and two of its runs side by side.

import * as api from "./api.js";
import { comparison } from "./compare.js";
import { byId } from "./dom.js";
import { on, state } from "./state.js";
import { tradeoff } from "./tradeoff.js";

function mark() {
  for (const node of byId("tradeoff").querySelectorAll("[data-run]")) {
    node.classList.toggle("selected", node.dataset.run === state.run);
  }
}

export async function startStudy() {
  const rows = await api.studyRows();
  byId("study").hidden = false;
  byId("study-note").textContent = `${rows.length} runs; a click opens one`;
  byId("tradeoff").replaceChildren(...tradeoff(rows));
  byId("compare-panel").hidden = false;
  byId("compare").replaceChildren(...comparison(rows));
  mark();
  on(["run"], mark);
}
