// The run's scores with their definitions, and the exponents of its prior.

import { byId, el, number, svg } from "./dom.js";
import { on } from "./state.js";
import { term } from "./terms.js";

function score(line) {
  const error = line.error ? el("small", {}, ` ± ${number(line.error)}`) : null;
  return el("div", { class: "score" }, el("dt", {}, line.title === "MIG" ? term("MIG", "MIG") : line.title),
    el("dd", {}, el("strong", {}, number(line.value, line.unit ? 2 : 3)), error, line.unit ? ` ${line.unit}` : "",
      el("p", { class: "quiet" }, line.meaning)));
}

// Exponents on a line; 2 is the normal distribution; smaller ones are peaked, larger ones flat.
function exponentPlot(exponents) {
  const values = exponents.flatMap((exponent) => [exponent.value, exponent.start]);
  const [low, high] = [Math.min(1.8, ...values) - 0.05, Math.max(2.4, ...values) + 0.05];
  const at = (p) => 60 + ((p - low) / (high - low)) * 215;
  const height = 22 * exponents.length + 20;
  return svg("svg", { viewBox: `0 0 340 ${height}`, class: "exponents", role: "img",
    "aria-label": exponents.map((exponent) => `${exponent.name} ${number(exponent.value)}`).join(", ") },
    svg("line", { class: "zero", x1: at(2), x2: at(2), y1: 0, y2: height - 18 }),
    svg("text", { x: at(2), y: height - 4, "text-anchor": "middle", class: "tick" }, "2, normal"),
    exponents.map((exponent, k) => {
      const y = 12 + 22 * k;
      return svg("g", {},
        svg("text", { x: 0, y: y + 4, class: "tick" }, exponent.name),
        svg("line", { class: "moved", x1: at(exponent.start), x2: at(exponent.value), y1: y, y2: y }),
        svg("circle", { cx: at(exponent.value), cy: y, r: 5, class: "dot" }),
        svg("text", { x: 336, y: y + 4, "text-anchor": "end", class: "tick strong" }, number(exponent.value, 3)));
    }));
}

export function startScores() {
  on(["model"], ({ model }) => {
    const parts = [];
    if (model.scores.length) {
      parts.push(el("div", { class: "panel" }, el("dl", { class: "scores" }, model.scores.map(score))));
    }
    if (model.exponents.length) {
      const title = el("h3", {}, "Exponents of the prior");
      parts.push(el("div", { class: "panel" }, title, exponentPlot(model.exponents)));
    }
    byId("numbers").hidden = !parts.length;
    byId("scores").replaceChildren(...parts);
  });
}
