// Mutual information of latents and factors; a click on a cell selects its latent.

import { groupColour } from "./colours.js";
import { byId, el, number } from "./dom.js";
import { activeLatents, nameOf, on, set, state } from "./state.js";

function cell(latent, share, nats, factor) {
  return el("td", {}, el("button", {
    class: "cell", style: { "--share": share.toFixed(3) }, "data-latent": latent,
    title: `I(${nameOf(latent)}; ${factor}) = ${number(nats)} nats, ${Math.round(100 * share)} % of ${factor}`,
    "aria-label": `${nameOf(latent)} knows ${Math.round(100 * share)} percent of ${factor}`,
    onclick: () => set({ latent }),
  }, number(share)));
}

function row(latent, insight, colour) {
  const strongest = Math.max(...insight.information);
  return el("tr", { "data-latent": latent },
    el("th", { scope: "row" }, el("button", { class: "rowhead", style: { "--hue": colour }, onclick: () => set({ latent }) }, nameOf(latent))),
    el("td", { class: "about" }, el("span", { class: "bar-line", style: { "--share": insight.information[latent] / strongest } }), el("span", {}, number(insight.information[latent], 1))),
    insight.factors.map((factor, k) => cell(latent, insight.normalised[latent][k], insight.mutual[latent][k], factor)));
}

function table(insight) {
  const colourOf = (latent) => groupColour(state.model.groups.findIndex((group) => group.latents.includes(latent)));
  return el("table", { class: "heat" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "latent"), el("th", { scope: "col" }, "image, nats"),
      insight.factors.map((factor) => el("th", { scope: "col" }, factor)))),
    el("tbody", {}, activeLatents().map((latent) => row(latent, insight, colourOf(latent)))));
}

function mark() {
  for (const line of byId("heatmap").querySelectorAll("tr[data-latent]")) {
    const here = Number(line.dataset.latent) === state.latent;
    line.classList.toggle("selected", here);
    line.querySelector(".rowhead").setAttribute("aria-pressed", here);
  }
}

export function startHeatmap() {
  on(["insight", "images"], ({ insight, images }) => {
    if (images?.error) {
      byId("heatmap").replaceChildren(el("p", { class: "quiet" }, "This needs the images that the model was trained on."));
    } else if (!insight) {
      byId("heatmap").replaceChildren(el("p", { class: "quiet" }, "Encoding a sample of images …"));
    } else {
      const caption = insight.factors.length
        ? "Share of each factor's entropy, I(z; v) / H(v), by exact entropies. Click to select."
        : "The factors of these images are not known; the bars show what each latent says about the image.";
      byId("heatmap").replaceChildren(el("div", { class: "scroll" }, table(insight)), el("p", { class: "quiet" }, caption));
      const n = insight.sample.toLocaleString("en");
      byId("why-note").textContent = insight.sample < insight.total
        ? `from ${n} of ${insight.total.toLocaleString("en")} images` : `from all ${n} images`;
      mark();
    }
  });
  on(["latent"], mark);
}
