// Two latents of a subspace together: a sheet of images decoded over the plane of its pad.

import * as api from "./api.js";
import { afterPause } from "./decoder.js";
import { byId, number } from "./dom.js";
import { paint } from "./pixels.js";
import { edit, isActive, nameOf, on, span, state } from "./state.js";

const SIDE = 7;
const MOST_BYTES = 1 << 24; // what the server decodes in one call
let drawn = null; // what the sheet shows

// The latents of the pad of the selected latent's subspace; null where it has none.
function plane() {
  const group = state.model.groups.find(({ latents }) => latents.includes(state.latent));
  const pair = state.pads[group.latents.find(isActive)];
  return pair?.every(isActive) ? pair : null; // before the summary all latents have a pad
}

function sideOf([channels, height, width]) {
  return Math.max(1, Math.min(SIDE, Math.floor(Math.sqrt(MOST_BYTES / (channels * height * width)))));
}

// From left to right and from top to bottom: the second latent rises upwards.
function codesOver([x, y], side) {
  const at = (k) => (side === 1 ? 0 : span() * ((2 * k) / (side - 1) - 1));
  return Array.from({ length: side * side }, (_, k) =>
    state.code.with(x, at(k % side)).with(y, at(side - 1 - Math.floor(k / side))));
}

function draw(images, side) {
  const { shape } = state.model;
  const [, height, width] = shape;
  const canvas = byId("together");
  canvas.width = side * width;
  canvas.height = side * height;
  const context = canvas.getContext("2d");
  const one = new OffscreenCanvas(width, height);
  images.forEach((pixels, k) => {
    paint(one, pixels, shape);
    context.drawImage(one, (k % side) * width, Math.floor(k / side) * height);
  });
}

const load = afterPause(async () => {
  const { run, model, summary } = state;
  const pair = summary && plane();
  if (!pair) return;
  const side = sideOf(model.shape);
  const codes = codesOver(pair, side);
  const wanted = `${run} ${model.version} ${pair} ${codes[0]}`;
  if (wanted === drawn) return; // only the point moved
  const images = await api.decodeSheet(run, codes);
  if (run !== state.run) return;
  draw(images, side);
  drawn = wanted;
});

// Shows or hides the sheet, and says what it is.
function describe() {
  const pair = state.model && state.summary && plane();
  byId("together-panel").hidden = !pair;
  if (!pair) return;
  const [x, y] = pair;
  byId("together-title").textContent = `${nameOf(x)} and ${nameOf(y)} together`;
  byId("together-note").textContent =
    `${nameOf(x)} to the right and ${nameOf(y)} upwards, each from ${number(-span(), 1)} to ${number(span(), 1)}; the other latents as they are. Click to go there.`;
  byId("together").setAttribute("aria-label", `Images decoded over the plane of ${nameOf(x)} and ${nameOf(y)}`);
}

// Marks the image that is nearest to the code.
function mark() {
  const pair = state.model && state.summary && plane();
  if (!pair) return;
  const [x, y] = pair;
  const side = sideOf(state.model.shape);
  const step = (z) => Math.round(((z + span()) / (2 * span())) * (side - 1));
  const { style } = byId("together-mark");
  style.setProperty("--column", step(state.code[x]));
  style.setProperty("--row", side - 1 - step(state.code[y]));
  style.setProperty("--side", side);
}

function jump(event) {
  const [x, y] = plane();
  const side = sideOf(state.model.shape);
  const box = event.currentTarget.getBoundingClientRect();
  const cell = (share) => Math.min(side - 1, Math.max(0, Math.floor(share * side)));
  const at = (k) => (side === 1 ? 0 : span() * ((2 * k) / (side - 1) - 1));
  const column = cell((event.clientX - box.left) / box.width);
  const row = cell((event.clientY - box.top) / box.height);
  edit({ code: state.code.with(x, at(column)).with(y, at(side - 1 - row)) });
}

export function startTogether() {
  byId("together").addEventListener("click", jump);
  on(["latent", "summary", "pads", "names"], describe);
  on(["code", "latent", "summary", "pads"], mark);
  on(["code", "latent", "summary", "pads"], load);
}
