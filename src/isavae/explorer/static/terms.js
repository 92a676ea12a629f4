// Definitions of the terms of the page: on hover, on focus and on a tap.

import { byId, el } from "./dom.js";

const TERMS = {
  nats: "Nats: the unit of information by natural logarithms. 1 nat is 1.44 bits; a latent of k nats tells about e^k images apart.",
  p: "p: the exponent of the subspace's norm. 2 is the normal distribution, which any rotation leaves as it is; any other exponent distinguishes the axes.",
  contours: "Contours: curves of equal prior density through the plane, 0.5, 2 and 4.5 nats below its mode.",
  MIG: "MIG, the mutual information gap: how much more the best latent tells about a factor than the second best, as a share of the factor's entropy; 0 to 1.",
  unused: "Unused: a latent of less than 0.05 nats about the image. Its posterior is the prior, and moving it hardly changes the image.",
};

// A term that explains itself; where it stands in something that can be clicked, as plain text.
export function term(name, text, tag = "button") {
  return el(tag, { class: "term", type: tag === "button" ? "button" : null, "data-term": name, "aria-description": TERMS[name] }, text);
}

function show(node) {
  const tip = byId("tip");
  tip.textContent = TERMS[node.dataset.term];
  tip.hidden = false;
  const [box, size] = [node.getBoundingClientRect(), tip.getBoundingClientRect()];
  const left = Math.max(8, Math.min(box.left, document.documentElement.clientWidth - size.width - 8));
  const below = box.bottom + 6;
  const top = below + size.height < window.innerHeight ? below : box.top - size.height - 6;
  tip.style.left = `${left}px`;
  tip.style.top = `${top}px`;
}

export function startTerms() {
  const hide = () => (byId("tip").hidden = true);
  const termOf = (event) => event.target.closest?.("[data-term]");
  for (const kind of ["pointerover", "focusin", "click"]) {
    addEventListener(kind, (event) => (termOf(event) ? show(termOf(event)) : kind === "click" && hide()));
  }
  for (const kind of ["pointerout", "focusout"]) {
    addEventListener(kind, (event) => termOf(event) && event.pointerType !== "touch" && hide());
  }
  addEventListener("keydown", (event) => event.key === "Escape" && hide());
  addEventListener("scroll", hide, { passive: true });
}
