// Opens a run: first its model, then its images, then what its latents do.

import * as api from "./api.js";
import { notice } from "./dom.js";
import { canUndo, forgetPast, set, state } from "./state.js";

// Show a run, as far as possible in the state of a link; false if there is none.
export async function openRun(run, link = {}) {
  const kept = link.image ?? state.image?.index ?? null;
  let model;
  try {
    model = await api.model(run);
  } catch (error) {
    notice(error.message, { stays: true });
    return false;
  }
  const asked = link.code?.length === model.latents ? link.code : null;
  const code = asked ?? new Array(model.latents).fill(0);
  const wanted = latentOf(model, link.latent);
  forgetPast();
  set({
    run, model, names: model.names, code, latent: wanted ?? 0, image: null, opened: null, other: null, mix: 0,
    images: null, summary: null, scatter: null, pads: {}, decoded: null, strip: null,
  });
  openImages(run, { ...link, latent: wanted, code: asked, image: kept });
  return true;
}

// The latent that a link names, by name or number; null if there is none.
function latentOf(model, link) {
  const number = /^z([1-9]\d*)$/.exec(link ?? "")?.[1];
  const latent = model.names.includes(link) ? model.names.indexOf(link) : number - 1;
  return latent < model.latents ? latent : null;
}

async function openImages(run, link) {
  const known = (index, images) => Number.isInteger(index) && index < images.count;
  try {
    const images = await api.images(run);
    if (run !== state.run) return;
    set({ images });
    const [image, other] = await Promise.all([
      api.image(run, known(link.image, images) ? { index: link.image } : {}), // else a typical one
      known(link.other, images) ? api.image(run, { index: link.other }) : null,
    ]);
    if (run !== state.run) return;
    if (!state.image) set({ image, code: link.code || canUndo() ? state.code : image.mean });
    set({ opened: image });
    if (other && !state.other) set({ other });
    const summary = await api.summary(run);
    if (run !== state.run) return;
    set({ summary });
    const { information } = summary;
    if (!Number.isInteger(link.latent)) set({ latent: information.indexOf(Math.max(...information)) });
  } catch (error) {
    if (run === state.run) set({ images: state.images ?? { error: error.message } });
  }
}
