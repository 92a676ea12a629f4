// Start from an image: by its factors, from a handful at random, by number, or one of your own.

import * as api from "./api.js";
import { latestWins } from "./decoder.js";
import { byId, el, notice } from "./dom.js";
import { randomBelow } from "./random.js";
import { showImage, tile, unlessOvertaken } from "./stage.js";
import { edit, on, state } from "./state.js";

const LARGEST_FILE = 16 << 20; // what the server accepts

// Why a factor's value is not shown.
function missing(factors) {
  const { image } = state;
  const known = factors.every((factor, k) => factor.size === 1 || image?.classes?.[k] >= 0);
  if (!factors.length || known) return "";
  if (!image) return "No image is open: move a factor to open the one that shows it.";
  if (image.index === null) return "–: the factors of your own image are not known.";
  return "–: the table of factors does not give this value of this image.";
}

function factorControls(factors) {
  const inputs = [];
  const show = latestWins(() => showImage({ near: inputs.map((input) => input.value).join(",") }, "factors"));
  const rows = factors.map((factor) => {
    const output = el("output", {});
    const input = el("input", {
      type: "range", min: 0, max: factor.size - 1, step: 1, value: 0, "aria-label": factor.name,
      disabled: factor.size === 1, oninput: show,
    });
    const title = factor.size === 1 ? "All of these images have this value." : null;
    inputs.push(input);
    return el("label", { class: "factor", title }, el("span", {}, factor.name), input, output);
  });
  const reason = el("p", { class: "quiet" });
  const follow = () => {
    reason.textContent = missing(factors);
    reason.hidden = !reason.textContent;
    factors.forEach((factor, k) => {
      const known = factor.size === 1 ? 0 : (state.image?.classes?.[k] ?? -1);
      const unnamed = factor.size === 1 && factor.classes[0] === "0";
      const name = known < 0 ? "–" : unnamed ? "one value" : factor.classes[known];
      if (known >= 0) inputs[k].value = known;
      inputs[k].setAttribute("aria-valuetext", name);
      rows[k].querySelector("output").textContent = name;
    });
  };
  follow();
  return { rows: [...rows, reason], follow };
}

async function showNumber(input, count) {
  const index = input.valueAsNumber;
  if (Number.isInteger(index) && index >= 0 && index < count) return showImage({ index });
  notice(`The number of an image must be a whole number from 0 to ${(count - 1).toLocaleString("en")}.`);
  input.value = state.image?.index ?? "";
}

function gallery() {
  const grid = el("div", { class: "gallery" });
  const load = async () => {
    const found = await api.gallery(state.run, randomBelow(2 ** 31));
    grid.replaceChildren(...found.map((image) => tile(image)));
  };
  const again = el("button", { onclick: () => load().catch((e) => notice(e.message)) }, "Others");
  const box = el("details", {}, el("summary", {}, "Choose from images"), grid, again);
  box.addEventListener("toggle", () => box.open && !grid.children.length && again.click());
  return box;
}

async function upload(file) {
  if (file.size > LARGEST_FILE) {
    notice(`${file.name} is too large: at most ${LARGEST_FILE >> 20} MB.`);
    return;
  }
  try {
    const image = await unlessOvertaken(api.encode(state.run, file));
    if (!image) return;
    edit({ image, code: image.mean, mix: 0 });
    const size = state.model.shape.slice(1).join(" × ");
    notice(`${file.name || "Your image"}: encoded at ${size} pixels. ${image.note}`);
  } catch (error) {
    notice(error.message);
  }
}

function uploader() {
  const input = el("input", {
    type: "file", accept: "image/*,.npy,.npz", id: "upload", class: "hidden-input",
    onchange: () => input.files[0] && upload(input.files[0]).then(() => (input.value = "")),
  });
  return el("label", { class: "button upload" }, input, "Your own image …", el("small", {}, "or drop it anywhere"));
}

function acceptDrops() {
  const over = (on) => document.body.classList.toggle("dropping", on);
  addEventListener("dragover", (event) => { event.preventDefault(); over(true); });
  addEventListener("dragleave", (event) => event.relatedTarget || over(false));
  addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    const file = event.dataTransfer.files[0];
    if (file) upload(file);
  });
}

export function startPicker() {
  acceptDrops();
  const opening = [...byId("picker").children];
  let follow = () => {};
  on(["images"], ({ images }) => {
    follow = () => {};
    if (!images) {
      byId("picker").replaceChildren(...opening); // the controls of another run's images would do nothing
      return;
    }
    if (images.error) {
      byId("picker").replaceChildren(el("p", { class: "quiet" }, images.error), uploader());
      return;
    }
    const controls = factorControls(images.factors);
    const number = el("input", {
      type: "number", min: 0, max: images.count - 1, step: 1, "aria-label": "Number of the image",
      onchange: () => showNumber(number, images.count).catch((error) => notice(error.message)),
    });
    follow = () => {
      controls.follow();
      number.value = state.image?.index ?? "";
    };
    follow();
    byId("picker").replaceChildren(
      ...controls.rows,
      el("label", { class: "factor" }, el("span", {}, "number"), number,
        el("output", {}, `of ${images.count.toLocaleString("en")}`)),
      gallery(), uploader(),
    );
  });
  on(["image"], () => follow());
}
