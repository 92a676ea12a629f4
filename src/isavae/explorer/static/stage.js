// The decoded image, the chosen one, and the three buttons below.

import * as api from "./api.js";
import { byId, el, notice } from "./dom.js";
import { paint, paintDifference } from "./pixels.js";
import { randomBelow } from "./random.js";
import { canUndo, edit, home, on, state, undo } from "./state.js";

// Back to the image; from there to the one that the page opened on.
export function reset() {
  const { opened, code } = state;
  const away = home().some((value, k) => value !== code[k]);
  if (away || !opened) edit({ code: home(), mix: 0 });
  else edit({ image: opened, code: opened.mean, mix: 0 });
}

// The answer of `question`, or null where another run or a later question is open by then: answers
// may come in another order than their questions.
let asked = 0;
export async function unlessOvertaken(question) {
  const { run } = state;
  const mine = ++asked;
  const answer = await question;
  return run === state.run && mine === asked ? answer : null;
}

export async function samplePrior() {
  try {
    const code = await unlessOvertaken(api.sample(state.run, randomBelow(2 ** 31)));
    if (code) edit({ code });
  } catch (error) {
    notice(error.message);
  }
}

export async function showImage(params, gesture = null) {
  const image = await unlessOvertaken(api.image(state.run, params));
  if (image) edit({ image, code: image.mean, mix: 0 }, gesture);
}

// A small image that opens itself.
export function tile({ index, pixels }) {
  const canvas = el("canvas");
  paint(canvas, pixels, state.model.shape);
  const choose = () => showImage({ index }).catch((error) => notice(error.message));
  return el("button", { class: "tile", "aria-label": `Image ${index}`, title: `Open image ${index}`, onclick: choose }, canvas);
}

export function nextImage() {
  if (!state.images?.count) return;
  const { count } = state.images;
  const index = ((state.image?.index ?? 0) + 1 + randomBelow(count - 1)) % count; // another one
  showImage({ index }).catch((error) => notice(error.message));
}

export function startStage() {
  byId("reset").addEventListener("click", reset);
  byId("sample").addEventListener("click", samplePrior);
  byId("next").addEventListener("click", nextImage);
  byId("undo").addEventListener("click", undo);
  on(["code", "image", "other", "mix", "latent"], () => (byId("undo").disabled = !canUndo()));
  on(["images"], () => (byId("next").disabled = !state.images?.count));
  on(["decoded"], ({ decoded, model }) => decoded && paint(byId("decoded"), decoded.image, model.shape));
  let beside = null;
  on(["decoded"], ({ decoded, model }) => {
    if (!decoded || decoded.reconstruction === beside) return; // moves leave it as it is
    beside = decoded.reconstruction;
    byId("thumbs").hidden = !decoded.of;
    if (!decoded.of) return;
    paint(byId("original"), decoded.of.pixels, model.shape);
    paint(byId("reconstruction"), decoded.reconstruction, model.shape);
    paintDifference(byId("difference"), decoded.of.pixels, decoded.reconstruction, model.shape);
  });
}
