// The decoded image, the chosen one, and the three buttons below.

import * as api from "./api.js";
import { byId, notice } from "./dom.js";
import { paint, paintDifference } from "./pixels.js";
import { canUndo, edit, home, on, state, undo } from "./state.js";

export function reset() {
  edit({ code: home(), mix: 0 });
}

export async function samplePrior() {
  const { run } = state;
  const seed = Math.floor(Math.random() * 2 ** 31);
  try {
    const code = await api.sample(run, seed);
    if (run === state.run) edit({ code });
  } catch (error) {
    notice(error.message);
  }
}

export async function showImage(params, gesture = null) {
  const { run } = state;
  const image = await api.image(run, params);
  if (run === state.run) edit({ image, code: image.mean, mix: 0 }, gesture);
}

export function nextImage() {
  if (!state.images?.count) return;
  const index = ((state.image?.index ?? -1) + 1) % state.images.count;
  showImage({ index }).catch((error) => notice(error.message));
}

export function startStage() {
  byId("reset").addEventListener("click", reset);
  byId("sample").addEventListener("click", samplePrior);
  byId("next").addEventListener("click", nextImage);
  byId("undo").addEventListener("click", undo);
  on(["code", "image", "other", "mix", "latent"], () => (byId("undo").disabled = !canUndo()));
  on(["images"], () => (byId("next").disabled = !state.images?.count));
  on(["decoded"], ({ decoded, model }) => {
    if (!decoded) return;
    paint(byId("decoded"), decoded.image, model.shape);
    byId("thumbs").hidden = !decoded.of;
    if (!decoded.of) return;
    paint(byId("original"), decoded.of.pixels, model.shape);
    paint(byId("reconstruction"), decoded.reconstruction, model.shape);
    paintDifference(byId("difference"), decoded.of.pixels, decoded.reconstruction, model.shape);
  });
}
