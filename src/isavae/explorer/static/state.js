// What is looked at, who wants to know when it changes, and the way back.

export const state = {
  overview: null,
  run: null, // id of the run
  model: null, // its description
  names: [], // of its latents
  images: null, // what is known of its data set; { error } if it cannot be opened
  summary: null, // what its latents do on a sample of images
  code: [], // the latents' values
  image: null, // the chosen image with its posterior
  opened: null, // the image that the page opened on
  other: null, // a second one
  mix: 0, // 0 is the first, 1 the second
  latent: 0, // the selected latent
  colourBy: "", // factor that colours the scattered codes
  scatter: null, // codes for the pads: { points, classes, counts, factor }
  pads: {}, // the two latents of each pad, by the first active latent of its subspace
  decoded: null, // { image, reconstruction, of }
  strip: null, // a traversal: { images, of }
  theme: null, // light or dark
};

export const HIDDEN = "hidden"; // the value of `colourBy` that leaves the codes out

const listeners = [];
const past = [];
const REMEMBERED = ["code", "image", "other", "mix", "latent"];
const SAME_GESTURE_MS = 700;
let last = { tag: null, at: 0 };

// Call `listener` whenever one of these parts of the state has changed: is another value or object.
export function on(parts, listener) {
  listeners.push({ parts, listener });
}

export function set(patch) {
  const changed = new Set(Object.keys(patch).filter((part) => patch[part] !== state[part]));
  Object.assign(state, patch);
  for (const { parts, listener } of listeners) {
    if (parts.some((part) => changed.has(part))) listener(state);
  }
}

// A change that can be undone. With a tag, it is part of a gesture: changes with the same tag in
// quick succession are undone together.
export function edit(patch, tag = null) {
  const now = performance.now();
  if (!tag || tag !== last.tag || now - last.at > SAME_GESTURE_MS) {
    past.push(Object.fromEntries(REMEMBERED.map((part) => [part, state[part]])));
    if (past.length > 200) past.shift();
  }
  last = { tag, at: now };
  set(patch);
}

export function undo() {
  const before = past.pop();
  last = { tag: null, at: 0 };
  if (before) set(before);
}

export const canUndo = () => past.length > 0;

export function forgetPast() {
  past.length = 0;
}

export function moveLatent(latent, value) {
  const limit = span();
  const code = state.code.with(latent, Math.min(limit, Math.max(-limit, value)));
  edit({ code, latent }, `latent ${latent}`);
}

// What the user called a latent, or else its number, counted from 1 as in the paper.
export const nameOf = (latent) => state.names[latent];
export const numberOf = (latent) => `z${latent + 1}`;

// Sliders, pads and strips reach from -span to span: as far as the codes of the images, and at least
// to one standard deviation of the prior; to three of them where there are no images.
export function span() {
  const { model, summary } = state;
  return summary ? Math.max(summary.range, model.range / 3) : model.range;
}

// The code to which everything returns: the image's posterior mean, or the centre of the prior.
export function home() {
  return state.image?.mean ?? new Array(state.model.latents).fill(0);
}

export function isActive(latent) {
  return state.summary?.active[latent] ?? true;
}

// Latents in the order of their subspaces, the unused ones left out.
export function activeLatents() {
  return state.model.groups.flatMap((group) => group.latents).filter(isActive);
}
