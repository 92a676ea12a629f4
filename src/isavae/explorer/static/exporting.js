// Export: images of the code and of the traversal, the code itself, a link.

import * as api from "./api.js";
import { stripCodes, stripValues } from "./decoder.js";
import { byId, el, notice } from "./dom.js";
import { linkOf } from "./permalink.js";
import { nameOf, span, state } from "./state.js";

const GIF_FRAMES = 24;
const GAP = 2;

function save(blob, name) {
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function name(what) {
  return `${state.overview.title}-${what}`.replace(/[^\w.-]+/g, "-");
}

// Canvases side by side, enlarged so that a small image is worth looking at.
function sheetOf(canvases) {
  const { width, height } = canvases[0];
  const zoom = Math.max(1, Math.floor(128 / Math.max(width, height)));
  const sheet = el("canvas", { width: canvases.length * (width * zoom + GAP) - GAP, height: height * zoom });
  const context = sheet.getContext("2d");
  context.imageSmoothingEnabled = false;
  canvases.forEach((canvas, k) => context.drawImage(canvas, k * (width * zoom + GAP), 0, width * zoom, height * zoom));
  return sheet;
}

function savePng(canvases, what) {
  sheetOf(canvases).toBlob((blob) => save(blob, name(`${what}.png`)));
}

async function saveGif() {
  const values = Array.from({ length: GIF_FRAMES }, (_, k) => span() * ((2 * k) / (GIF_FRAMES - 1) - 1));
  const codes = values.map((value) => state.code.with(state.latent, value));
  save(await api.gif(state.run, codes), name(`${nameOf(state.latent)}.gif`));
}

export function codeAsJson() {
  const { model, code, image, latent } = state;
  return {
    title: state.overview.title, run: state.run, step: model.step, prior: model.prior, data: model.data, code,
    image: image && { index: image.index, classes: image.classes, mean: image.mean, std: image.std },
    traversal: { latent, name: nameOf(latent), values: stripValues(), codes: stripCodes() },
  };
}

function saveJson() {
  save(new Blob([JSON.stringify(codeAsJson(), null, 2)], { type: "application/json" }), name("code.json"));
}

async function copyLink() {
  const link = location.origin + location.pathname + linkOf(state);
  history.replaceState(null, "", link);
  await navigator.clipboard.writeText(link);
  notice("The link to this state is in the clipboard; it works in this browser while the server runs.");
}

export function startExporting() {
  const frames = () => [...byId("strip").querySelectorAll("canvas")];
  const entries = {
    "Image as PNG": () => savePng([byId("decoded")], "image"),
    "Traversal as PNG": () => savePng(frames(), nameOf(state.latent)),
    "Traversal as GIF": saveGif,
    "Code as JSON": saveJson,
    "Copy a link to this state": copyLink,
  };
  const [button, menu] = [byId("export"), byId("exports")];
  const open = (shown) => {
    menu.hidden = !shown;
    button.setAttribute("aria-expanded", shown);
  };
  menu.replaceChildren(...Object.entries(entries).map(([label, work]) => el("button", {
    onclick: async () => {
      open(false);
      button.focus();
      try { await work(); } catch (error) { notice(error.message); }
    },
  }, label)));
  button.addEventListener("click", () => open(menu.hidden));
  addEventListener("keydown", (event) => event.key === "Escape" && open(false));
  addEventListener("pointerdown", (event) => event.target.closest(".menu") || open(false));
}
