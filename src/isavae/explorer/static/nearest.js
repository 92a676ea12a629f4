// Under the traversal: the real images whose codes are nearest along it.

import * as api from "./api.js";
import { afterPause, stripCodes } from "./decoder.js";
import { byId } from "./dom.js";
import { tile } from "./stage.js";
import { nameOf, on, state } from "./state.js";

const load = afterPause(async () => {
  const { run, code, latent, summary } = state;
  if (!summary) return;
  const found = await api.nearest(run, latent, stripCodes());
  if (run !== state.run || code !== state.code || latent !== state.latent) return;
  byId("nearest").replaceChildren(...found.map(tile));
  byId("nearest-part").hidden = false;
  byId("nearest-part").classList.remove("stale");
});

export function startNearest() {
  on(["run"], () => (byId("nearest-part").hidden = true));
  on(["latent", "names"], () => (byId("nearest-title").textContent = `Real images nearest along ${nameOf(state.latent)}`));
  on(["code", "latent", "summary"], () => {
    byId("nearest-part").classList.add("stale");
    load();
  });
}
