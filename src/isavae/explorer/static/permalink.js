// The state in the address' fragment: it survives a reload and can be shared.

import { nameOf, on, state } from "./state.js";

export function readLink() {
  const link = new URLSearchParams(location.hash.slice(1));
  const whole = (name) => (/^\d{1,9}$/.test(link.get(name) ?? "") ? Number(link.get(name)) : null);
  const code = (link.get("z") ?? "").split(",").map(Number);
  return {
    run: link.get("run"),
    code: link.has("z") && code.every(Number.isFinite) ? code : null,
    image: whole("image"),
    other: whole("other"),
    latent: link.get("latent"),
    seed: whole("seed"),
    colourBy: link.get("colour") ?? "",
  };
}

export function linkOf({ run, code, image, other, latent, colourBy }) {
  const link = new URLSearchParams();
  link.set("run", run);
  link.set("z", code.map((value) => Number(value.toFixed(4))).join(","));
  if (Number.isInteger(image?.index)) link.set("image", image.index);
  if (Number.isInteger(other?.index)) link.set("other", other.index);
  link.set("latent", nameOf(latent));
  if (colourBy) link.set("colour", colourBy);
  return `#${link.toString().replaceAll("%2C", ",")}`;
}

export function keepLink() {
  let timer = 0;
  on(["run", "code", "image", "other", "latent", "names", "colourBy"], () => {
    clearTimeout(timer);
    timer = setTimeout(() => state.code.length && history.replaceState(null, "", linkOf(state)), 150);
  });
}
