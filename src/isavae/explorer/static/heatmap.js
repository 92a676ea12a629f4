// Mutual information of latents and factors; a click on a cell selects its latent.

import { groupColour } from "./colours.js";
import { byId, el, number } from "./dom.js";
import { term } from "./terms.js";
import { activeLatents, nameOf, on, set, state } from "./state.js";

function cell(latent, share, nats, factor) {
  return el("td", {}, el("button", {
    class: "cell", style: { "--share": share.toFixed(3) }, "data-latent": latent,
    title: `I(${nameOf(latent)}; ${factor}) = ${number(nats)} nats, ${Math.round(100 * share)} % of ${factor}`,
    "aria-label": `${nameOf(latent)} carries ${Math.round(100 * share)} percent of ${factor}`,
    onclick: () => set({ latent }),
  }, number(share)));
}

function rowHead(latent, colour) {
  const head = el("button", { class: "rowhead", style: { "--hue": colour }, onclick: () => set({ latent }) },
    nameOf(latent));
  return el("th", { scope: "row" }, head);
}

function aboutImage(nats, share) {
  return el("td", { class: "about" },
    el("span", { class: "bar-line", style: { "--share": share } }), el("span", {}, number(nats, 1)));
}

function row(latent, summary, colour) {
  const { information, normalised, mutual, factors } = summary;
  return el("tr", { "data-latent": latent },
    rowHead(latent, colour),
    aboutImage(information[latent], information[latent] / Math.max(...information)),
    factors.map((factor, k) => cell(latent, normalised[latent][k], mutual[latent][k], factor)));
}

function table(summary) {
  const colourOf = (latent) => groupColour(state.model.groups.findIndex((group) => group.latents.includes(latent)));
  return el("table", { class: "heat" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "latent"), el("th", { scope: "col" }, "image, ", term("nats", "nats")),
      summary.factors.map((factor) => el("th", { scope: "col" }, factor)))),
    el("tbody", {}, activeLatents().map((latent) => row(latent, summary, colourOf(latent)))));
}

function mark() {
  for (const line of byId("heatmap").querySelectorAll("tr[data-latent]")) {
    const here = Number(line.dataset.latent) === state.latent;
    line.classList.toggle("selected", here);
    line.querySelector(".rowhead").setAttribute("aria-pressed", here);
  }
}

function contents({ summary, images }) {
  const say = (words) => el("p", { class: "quiet" }, words);
  if (images?.error) return [say("This needs the images that the model was trained on.")];
  if (!summary) return [say("Encoding a sample of images …")];
  if (!activeLatents().length) return [say("All latents are unused: none carries information about these images.")];
  return [
    el("div", { class: "scroll" }, table(summary)),
    say(summary.factors.length
      ? "Share of each factor's entropy, I(z; v) / H(v), by exact entropies. Click to select."
      : "The factors of these images are not known; the bars show the information of each latent about the image."),
  ];
}

function sampleOf({ sample, total }) {
  const [few, all] = [sample, total].map((n) => n.toLocaleString("en"));
  return sample < total ? `from ${few} of ${all} images` : `from all ${all} images`;
}

export function startHeatmap() {
  on(["summary", "images", "names"], ({ summary, images }) => {
    byId("heatmap").replaceChildren(...contents({ summary, images }));
    byId("heat-title").textContent = `Information of latents about ${summary?.factors.length === 0 ? "the image" : "factors"}`;
    byId("why-note").textContent = summary ? sampleOf(summary) : "";
    mark();
  });
  on(["latent"], mark);
}
