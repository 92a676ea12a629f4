// Keys that work wherever the focus is, except where one types.

import { byId } from "./dom.js";
import { nextImage, reset, samplePrior } from "./stage.js";
import { activeLatents, moveLatent, set, span, state, undo } from "./state.js";

function types(target) {
  return target.matches("input:not([type=range]), select, textarea");
}

function selectNeighbour(step) {
  const latents = activeLatents();
  if (!latents.length) return;
  const at = latents.indexOf(state.latent);
  const latent = latents[(at + step + latents.length) % latents.length];
  set({ latent });
}

function arrow(event) {
  if (event.target.matches("input, canvas, [role=button]")) return; // has arrows of its own
  const side = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const next = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (!side && !next) return;
  event.preventDefault();
  if (side) moveLatent(state.latent, state.code[state.latent] + side * span() * (event.shiftKey ? 0.1 : 0.02));
  else selectNeighbour(next);
}

export function startKeys() {
  const help = byId("keys");
  byId("help").addEventListener("click", () => help.showModal());
  addEventListener("keydown", (event) => {
    if (types(event.target) || help.open || !state.model) return;
    const key = event.key.toLowerCase();
    if ((event.ctrlKey || event.metaKey) && key === "z") { event.preventDefault(); undo(); return; }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const actions = { r: reset, s: samplePrior, n: nextImage, u: undo, "?": () => help.showModal() };
    if (actions[key]) actions[key]();
    else arrow(event);
  });
}
