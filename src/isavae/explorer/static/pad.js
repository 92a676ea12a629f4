// Two latents of a subspace as a plane: drag the point; beneath it the prior's contours and codes.

import * as api from "./api.js";
import { el, notice, number } from "./dom.js";
import { resize } from "./pixels.js";
import { palette } from "./scatter.js";
import { edit, nameOf, set, span, state } from "./state.js";
import { term } from "./terms.js";

const STEP = 0.05;

export function buildPad(title, latents, hue) {
  let [x, y] = mostInformative(latents);
  let contours = null;
  let side = 0; // of the canvas, in pixels of the page
  let colours = null;
  let drawn = []; // what the drawing was made of
  const drawBackdrop = remembered(paintBackdrop);
  const canvas = el("canvas", {
    class: "pad", tabindex: 0, role: "application", "aria-roledescription": "two-dimensional slider",
  });
  const pick = (chosen, choose) => {
    const select = el("select", { onchange: () => choose(Number(select.value)) },
      latents.map((latent) => el("option", { value: latent, selected: latent === chosen })));
    return select;
  };
  const across = pick(x, (latent) => { [x, y] = latent === y ? [y, x] : [latent, y]; choose(); });
  const up = pick(y, (latent) => { [x, y] = latent === x ? [y, x] : [x, latent]; choose(); });
  across.setAttribute("aria-label", `${title}: latent to the right`);
  up.setAttribute("aria-label", `${title}: latent upwards`);

  function choose() {
    across.value = x;
    up.value = y;
    const wanted = [x, y];
    set({ pads: { ...state.pads, [latents[0]]: wanted } });
    contours = null;
    api.contours(state.run, x, y).then((answer) => {
      if (wanted[0] !== x || wanted[1] !== y) return;
      contours = answer.radii;
      follow();
    }).catch((error) => notice(error.message));
    follow();
  }

  function move(valueX, valueY) {
    const clamp = (value) => Math.min(span(), Math.max(-span(), value));
    const code = state.code.with(x, clamp(valueX)).with(y, clamp(valueY));
    edit({ code }, `pad ${x} ${y}`);
  }

  function describe() {
    canvas.setAttribute("aria-label",
      `${title}: ${nameOf(x)} ${number(state.code[x])}, ${nameOf(y)} ${number(state.code[y])}. Arrow keys move.`);
  }

  function follow() {
    if (!side) return;
    colours ??= coloursOf(canvas, hue);
    const at = [state.code[x], state.code[y]];
    const backdrop = drawBackdrop(side, window.devicePixelRatio || 1, x, y, contours, colours, span(), state.scatter);
    const now = [...at, backdrop];
    if (now.every((value, k) => value === drawn[k])) return;
    drawn = now;
    describe();
    drawPad(canvas, backdrop, side, at, colours);
  }

  dragging(canvas, move);
  canvas.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    const step = STEP * (event.shiftKey ? 5 : 1) * span() * 0.5;
    move(state.code[x] + by[0] * step, state.code[y] + by[1] * step);
  });
  new ResizeObserver(([{ contentRect }]) => { side = contentRect.width; follow(); }).observe(canvas);
  const node = el("div", { class: "plane" }, canvas,
    el("div", { class: "axes" }, el("label", {}, "→ ", across), el("label", {}, "↑ ", up), term("contours", "contours")));
  choose();
  const rename = () => {
    for (const option of node.querySelectorAll("option")) option.textContent = nameOf(Number(option.value));
    describe();
  };
  const recolour = () => { colours = null; follow(); };
  return { node, follow, rename, recolour };
}

function mostInformative(latents) {
  const information = state.summary?.information ?? [];
  const [x, y] = [...latents].sort((a, b) => (information[b] ?? 0) - (information[a] ?? 0));
  return [x, y];
}

function dragging(canvas, move) {
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    const across = ((event.clientX - box.left) / box.width) * 2 - 1;
    const up = 1 - ((event.clientY - box.top) / box.height) * 2;
    move(across * span(), up * span());
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    canvas.focus({ preventScroll: true });
    at(event);
  });
  canvas.addEventListener("pointermove", (event) => canvas.hasPointerCapture(event.pointerId) && at(event));
}

// Of a function of primitive values and objects: the last result as long as all stay the same.
function remembered(work) {
  let before = [];
  let result;
  return (...values) => {
    if (values.some((value, k) => value !== before[k])) result = work(...values);
    before = values;
    return result;
  };
}

// The colours of a pad; to read them makes the browser compute styles, so they are kept.
function coloursOf(canvas, hue) {
  const style = getComputedStyle(canvas);
  const names = ["--ink", "--line", "--panel", hue.slice(4, -1)];
  const [ink, line, panel, colour] = names.map((name) => style.getPropertyValue(name));
  return { ink, line, panel, colour };
}

function drawPad(canvas, backdrop, side, [x, y], { panel, colour }) {
  const { width } = backdrop;
  resize(canvas, width, width);
  const context = canvas.getContext("2d");
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, width, width);
  context.drawImage(backdrop, 0, 0);
  context.scale(width / side, width / side);
  const { toX, toY } = places(side);
  drawPoint(context, toX(x), toY(y), colour, panel);
}

function places(side) {
  return {
    toX: (z) => (0.5 + z / (2 * span())) * side,
    toY: (z) => (0.5 - z / (2 * span())) * side,
  };
}

// What does not move with the point: axes, codes and contours.
function paintBackdrop(side, density, x, y, contours, { ink, line, colour }) {
  const pixels = Math.round(side * density);
  const backdrop = new OffscreenCanvas(pixels, pixels);
  const context = backdrop.getContext("2d");
  context.scale(density, density);
  const { toX, toY } = places(side);
  drawAxes(context, side, line);
  drawCodes(context, x, y, toX, toY, ink);
  if (contours) drawContours(context, contours, toX, toY, colour);
  return backdrop;
}

function drawAxes(context, side, colour) {
  context.strokeStyle = colour;
  context.beginPath();
  context.moveTo(side / 2, 0);
  context.lineTo(side / 2, side);
  context.moveTo(0, side / 2);
  context.lineTo(side, side / 2);
  context.stroke();
}

function drawCodes(context, x, y, toX, toY, ink) {
  if (!state.scatter) return;
  const { points, classes, factor } = state.scatter;
  const { latents } = state.model;
  const colours = factor && palette(factor);
  context.globalAlpha = factor ? 0.75 : 0.22;
  context.fillStyle = ink;
  for (let n = 0, at = 0; at < points.length; n++, at += latents) {
    if (factor) context.fillStyle = colours[classes[n]] ?? ink;
    context.fillRect(toX(points[at + x]) - 0.8, toY(points[at + y]) - 0.8, 1.8, 1.8);
  }
  context.globalAlpha = 1;
}

function drawContours(context, contours, toX, toY, colour) {
  context.strokeStyle = colour;
  context.lineWidth = 1.25;
  contours.forEach((radii, level) => {
    context.globalAlpha = 0.9 - 0.25 * level;
    context.beginPath();
    radii.forEach((radius, k) => {
      const angle = (2 * Math.PI * k) / radii.length;
      context.lineTo(toX(radius * Math.cos(angle)), toY(radius * Math.sin(angle)));
    });
    context.closePath();
    context.stroke();
  });
  context.globalAlpha = 1;
}

function drawPoint(context, left, top, colour, rim) {
  context.beginPath();
  context.arc(left, top, 7, 0, 2 * Math.PI);
  context.fillStyle = colour;
  context.fill();
  context.lineWidth = 2.5;
  context.strokeStyle = rim;
  context.stroke();
}
