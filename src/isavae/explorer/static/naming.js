// The name of the selected latent, which can be changed in place: a click or Enter on it.

import * as api from "./api.js";
import { byId, el, notice } from "./dom.js";
import { nameOf, numberOf, on, set, state } from "./state.js";

const LONGEST = 40; // what the server accepts

async function save(latent, text) {
  const { run } = state;
  try {
    const { names } = await api.giveNames(run, { [numberOf(latent)]: text });
    if (run !== state.run) return;
    set({ names });
    const fitted = state.overview.fitted
      ? `; “isavae name-axes ${state.overview.title}” writes the report and the tables of the folder again with it` : "";
    notice(text.trim() ? `${numberOf(latent)} is now ${nameOf(latent)}, kept beside the model${fitted}.`
      : `${numberOf(latent)} has no name any more${fitted}.`);
  } catch (error) {
    notice(error.message);
  }
}

function edit() {
  const { latent } = state;
  const now = nameOf(latent);
  const input = el("input", {
    type: "text", maxlength: LONGEST, value: now === numberOf(latent) ? "" : now, placeholder: numberOf(latent),
    "aria-label": `Name of ${numberOf(latent)}`, autocomplete: "off", spellcheck: "false",
  });
  const close = () => {
    show();
    byId("naming").querySelector("button").focus();
  };
  const keep = async (event) => {
    event.preventDefault();
    await save(latent, input.value);
    close();
  };
  byId("naming").replaceChildren(el("form", {
    onsubmit: keep, onkeydown: (event) => event.key === "Escape" && close(),
  }, input, el("button", {}, "Save")));
  input.select();
}

function show() {
  const { latent, model } = state;
  const named = nameOf(latent) !== numberOf(latent);
  byId("strip-title").textContent = `Traversal of ${nameOf(latent)}`;
  byId("strip-title").title = numberOf(latent);
  byId("naming").replaceChildren(model.may_name
    ? el("button", { onclick: edit }, named ? "Rename" : "Name it")
    : el("small", { class: "quiet" }, "It cannot be named here: its folder is read-only."));
}

export function startNaming() {
  on(["latent", "names"], show);
}
