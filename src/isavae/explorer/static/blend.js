// Two images: keep one, choose another, go from one to the other, or take over one subspace.

import { byId, el } from "./dom.js";
import { groupColour } from "./colours.js";
import { paint } from "./pixels.js";
import { edit, isActive, on, state } from "./state.js";

function keep() {
  edit({ other: state.image });
}

function mixTo(t) {
  const code = state.image.mean.map((a, k) => (1 - t) * a + t * state.other.mean[k]);
  edit({ code, mix: t }, "mix");
}

function takeOver(group) {
  let code = state.code;
  for (const latent of group.latents) code = code.with(latent, state.other.mean[latent]);
  edit({ code });
}

function exchange() {
  edit({ image: state.other, other: state.image, code: state.other.mean, mix: 0 });
}

function thumb(image, label) {
  const canvas = el("canvas", { role: "img", "aria-label": label });
  paint(canvas, image.pixels, state.model.shape);
  return el("figure", {}, canvas, el("figcaption", {}, label));
}

function controls() {
  const slider = el("input", {
    type: "range", min: 0, max: 1, step: 0.01, value: state.mix, "aria-label": "From the first image to the second",
    oninput: () => mixTo(Number(slider.value)),
  });
  const swaps = state.model.groups.map((group, k) => group.latents.some(isActive) && el("button", {
    class: "swap", style: { "--hue": groupColour(k) }, onclick: () => takeOver(group),
  }, group.title)).filter(Boolean);
  return [
    el("div", { class: "pair" }, thumb(state.image, "first"), slider, thumb(state.other, "second")),
    el("p", { class: "quiet" }, "Take from the second image:"),
    el("div", { class: "chips" }, swaps),
    el("div", { class: "chips" },
      el("button", { onclick: exchange }, "Exchange the two"),
      el("button", { onclick: keep }, "Keep the shown one as second")),
  ];
}

export function startBlend() {
  let shown = [null, null];
  on(["image", "other", "model", "summary"], ({ image, other }) => {
    byId("second").hidden = !image;
    shown = [image, other];
    if (!image) return;
    if (other) byId("blend").replaceChildren(...controls());
    else byId("blend").replaceChildren(
      el("p", { class: "quiet" }, "Keep this image, choose another one, then blend the two or take over a subspace."),
      el("button", { id: "keep", onclick: keep }, "Keep as second image"));
  });
  on(["mix"], ({ mix, image, other }) => {
    const slider = byId("blend").querySelector("input[type=range]");
    if (slider && shown[0] === image && shown[1] === other) slider.value = mix;
  });
}
