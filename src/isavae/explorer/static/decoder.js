// Decodes what the page shows. The image of the current code comes first, in a call of its own, so
// that it follows a dragged slider; the traversal strip follows once the code rests.

import * as api from "./api.js";
import { notice } from "./dom.js";
import { on, set, span, state } from "./state.js";

export const FRAMES = 9;
const REST = 60; // milliseconds after which a code rests

export function stripValues() {
  return Array.from({ length: FRAMES }, (_, k) => span() * ((2 * k) / (FRAMES - 1) - 1));
}

export function stripCodes() {
  return stripValues().map((value) => state.code.with(state.latent, value));
}

// Runs `work` again and again for as long as new requests arrive, one call at a time.
export function latestWins(work) {
  let running = false;
  let wanted = false;
  return async function request() {
    wanted = true;
    if (running) return;
    running = true;
    while (wanted) {
      wanted = false;
      await work().catch((error) => notice(error.message));
    }
    running = false;
  };
}

// Runs `work` once its calls have paused, so that it never delays a dragged slider.
export function afterPause(work, milliseconds = 250) {
  const run = latestWins(work);
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(run, milliseconds);
  };
}

// The image of the code, and the reconstruction of an image that has none yet.
async function decodeImage() {
  const { model, image, code, decoded } = state;
  const known = image && decoded?.of === image ? decoded.reconstruction : null;
  const [shown, found] = await api.decode(state.run, image && !known ? [code, image.mean] : [code]);
  if (model !== state.model) return;
  set({ decoded: { image: shown, of: image, reconstruction: known ?? found ?? null } });
}

// What a traversal depends on: a move of the selected latent leaves it as it is.
function traversal() {
  const { run, model, latent, code } = state;
  return JSON.stringify([run, model.version, latent, span(), code.with(latent, 0)]);
}

export const isStripStale = () => state.strip?.of !== traversal();

async function decodeStrip() {
  if (!isStripStale()) return;
  const { model } = state;
  const of = traversal();
  const images = await api.decode(state.run, stripCodes());
  if (model === state.model) set({ strip: { of, images } });
}

export function startDecoder() {
  const requestImage = latestWins(decodeImage);
  const requestStrip = afterPause(decodeStrip, REST);
  on(["code", "image", "model"], () => state.code.length && requestImage());
  on(["code", "latent", "model", "summary"], () => state.code.length && requestStrip());
}
