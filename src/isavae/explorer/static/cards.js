// A card per subspace: its exponent, its best factors, a pad for two of its latents, a slider for each.

import { groupColour } from "./colours.js";
import { byId, el, number } from "./dom.js";
import { buildPad } from "./pad.js";
import { term } from "./terms.js";
import { HIDDEN, isActive, moveLatent, nameOf, numberOf, on, set, span, state } from "./state.js";

const FEW = 0.1; // share of a factor's entropy below which a card does not mention it

function slider(latent) {
  const input = el("input", {
    type: "range", step: 0.01, min: -span(), max: span(), id: `z${latent}`,
    oninput: () => moveLatent(latent, Number(input.value)),
    onfocus: () => state.latent !== latent && set({ latent }),
  });
  const output = el("output", { for: `z${latent}` }, " ");
  const band = el("span", { class: "band", "aria-hidden": "true" });
  const label = el("label", { for: `z${latent}` });
  const row = el("div", { class: "slider", "data-latent": latent }, label,
    el("div", { class: "track" }, band, input), output, stability(latent));
  let shown = null;
  const follow = () => {
    const value = state.code[latent];
    if (value === shown) return;
    shown = value;
    input.value = value;
    output.firstChild.data = number(value); // cheaper to lay out than another text
  };
  const mark = () => row.classList.toggle("selected", state.latent === latent);
  const bound = () => showUncertainty(band, input, latent);
  const rename = () => {
    label.textContent = nameOf(latent);
    label.title = numberOf(latent);
    input.setAttribute("aria-label", `Latent ${nameOf(latent)}`);
  };
  return { row, follow, mark, bound, rename };
}

// Of a model that `isavae fit` chose: whether other seeds find this latent.
function stability(latent) {
  const axis = state.model.axes.find((each) => each.latent === latent);
  if (!axis) return null;
  return el("small", { class: "stability", "data-verdict": axis.verdict,
    title: `${axis.found_by} of ${axis.seeds} other seeds find this axis (rank correlation of at least 0.8)` },
    `${axis.verdict}, ${axis.found_by} of ${axis.seeds} seeds`);
}

// Two posterior standard deviations to each side of the posterior mean.
function showUncertainty(band, input, latent) {
  const { image } = state;
  band.hidden = !image;
  if (!image) return;
  const place = (z) => (50 * (Math.min(span(), Math.max(-span(), z)) + span())) / span();
  const low = place(image.mean[latent] - 2 * image.std[latent]);
  const high = place(image.mean[latent] + 2 * image.std[latent]);
  band.style.setProperty("--low", low / 100);
  band.style.setProperty("--width", (high - low) / 100);
  input.setAttribute("aria-description",
    `posterior ${number(image.mean[latent])} plus or minus ${number(image.std[latent])}`);
}

// The factors about which a latent of this subspace is the most informative of all.
function bestFactors(group) {
  const { summary } = state;
  return summary.factors.flatMap((factor, k) => {
    const shares = summary.normalised.map((row) => row[k]);
    const best = shares.indexOf(Math.max(...shares));
    return group.latents.includes(best) && shares[best] > FEW ? [factor] : [];
  });
}

function explained(value, name, show) {
  return value === null ? [] : [term(name, show(value))];
}

function heading(group) {
  const facts = el("span", { class: "facts" });
  const chips = el("span", { class: "chips known" });
  const follow = () => {
    const { summary } = state;
    const nats = summary && group.latents.reduce((sum, z) => sum + summary.information[z], 0);
    facts.replaceChildren(
      ...explained(group.exponent, "p", (p) => `p = ${Number(p.toFixed(3))}`),
      ...explained(nats, "nats", (sum) => `${number(sum, 1)} nats`));
    chips.replaceChildren(...(summary ? bestFactors(group).map((factor) => el("span", { class: "chip" }, factor)) : []));
  };
  return { node: el("header", {}, el("h3", {}, group.title), facts, chips), follow };
}

function card(group, k) {
  const used = group.latents.filter(isActive);
  const unused = group.latents.filter((latent) => !isActive(latent));
  const sliders = new Map(group.latents.map((latent) => [latent, slider(latent)]));
  const rows = (latents) => latents.map((latent) => sliders.get(latent).row);
  const pad = used.length > 1 ? buildPad(group.title, used, groupColour(k)) : null;
  const head = heading(group);
  const node = el("article", { class: "card", style: { "--hue": groupColour(k) } },
    head.node,
    el("div", { class: "body" }, pad?.node, el("div", { class: "sliders" }, rows(used),
      unused.length ? el("details", { class: "folded" },
        el("summary", {}, `${unused.length} `, term("unused", "unused", "span"), unused.length > 1 ? " latents" : " latent"), rows(unused)) : null)));
  node.classList.toggle("silent", used.length === 0);
  return { node, head, parts: [...sliders.values(), pad].filter(Boolean) };
}

export function startCards() {
  let cards = [];
  const all = (what) => cards.flatMap((each) => each.parts).forEach((part) => part[what]?.());
  const rename = () => {
    byId("cards").classList.toggle("named", state.names.some((name, latent) => name !== numberOf(latent)));
    all("rename");
  };
  let due = false;
  const followSoon = () => { // once a frame, however fast a finger moves
    if (due) return;
    due = true;
    requestAnimationFrame(() => { due = false; all("follow"); });
  };
  on(["model", "summary"], ({ model }) => {
    cards = model.groups.map(card);
    cards.forEach((each) => each.head.follow());
    const used = cards.filter((each) => !each.node.classList.contains("silent"));
    const silent = cards.filter((each) => each.node.classList.contains("silent"));
    byId("cards").replaceChildren(...[...used, ...silent].map((each) => each.node));
    rename();
    for (const what of ["follow", "mark", "bound"]) all(what);
  });
  on(["names"], rename);
  on(["latent"], () => all("mark"));
  on(["image"], () => all("bound"));
  on(["theme"], () => all("recolour"));
  on(["code", "scatter"], followSoon);
  on(["images", "colourBy"], showColourChoice);
}

function showColourChoice({ images }) {
  const label = byId("colour-by");
  const factors = images?.factors?.filter((factor) => factor.size > 1) ?? [];
  label.hidden = !factors.length;
  const options = ["", ...factors.map((factor) => factor.name), HIDDEN];
  const select = el("select", { onchange: () => set({ colourBy: select.value }) },
    options.map((name) => el("option", { value: name, selected: name === state.colourBy }, name || "one colour")));
  label.querySelector("select").replaceWith(select);
}
