// The traversal of the selected latent: the current image with that latent swept over its range.

import { isStripStale, stripValues } from "./decoder.js";
import { byId, el, number } from "./dom.js";
import { paint } from "./pixels.js";
import { moveLatent, on, span, state } from "./state.js";

export function startStrip() {
  let frames = [];
  on(["model", "summary"], () => {
    frames = stripValues().map((value) => {
      const canvas = el("canvas");
      const button = el("button", {
        class: "frame", "aria-label": `Set the selected latent to ${number(value, 1)}`,
        onclick: () => moveLatent(state.latent, value),
      }, canvas, el("small", {}, number(value, 1)));
      return { value, canvas, button };
    });
    byId("strip").replaceChildren(el("div", { class: "strip" }, frames.map((frame) => frame.button)));
  });
  on(["strip", "model", "summary"], ({ strip, model }) => strip && frames.forEach(({ canvas }, k) => paint(canvas, strip.images[k], model.shape)));
  on(["strip", "code", "latent", "summary"], ({ strip, code, latent }) => {
    if (!strip) return;
    const step = (2 * span()) / (frames.length - 1);
    frames.forEach(({ button, value }) => button.classList.toggle("here", Math.abs(code[latent] - value) <= step / 2));
    byId("strip").classList.toggle("stale", isStripStale());
  });
}
