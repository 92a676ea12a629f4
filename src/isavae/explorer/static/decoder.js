// Decodes what the page shows: the current code, the chosen image's reconstruction and the
// traversal strip in one call. While a call is under way only the latest request waits.

import * as api from "./api.js";
import { notice } from "./dom.js";
import { on, set, span, state } from "./state.js";

export const FRAMES = 9;

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

async function decodeAll() {
  const { run, image } = state;
  const codes = [state.code, image?.mean ?? state.code, ...stripCodes()];
  const [decoded, reconstruction, ...strip] = await api.decode(run, codes);
  if (run !== state.run) return;
  set({ decoded: { image: decoded, reconstruction: image ? reconstruction : null, of: image, strip } });
}

export function startDecoder() {
  const request = latestWins(decodeAll);
  on(["code", "latent", "image", "model", "summary"], () => state.code.length && request());
}
