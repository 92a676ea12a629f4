// Axes and grid of a chart, in pixels of the page.

import { number, svg } from "./dom.js";

const MARGIN = { left: 50, right: 14, top: 12, bottom: 40 };

function ticks(low, high) {
  const step = 10 ** Math.floor(Math.log10((high - low) / 3));
  const wide = [1, 2, 5].map((k) => k * step).find((w) => (high - low) / w <= 6) ?? 10 * step;
  const found = [];
  for (let v = Math.ceil(low / wide) * wide; v <= high; v += wide) found.push(Number(v.toPrecision(6)));
  return found;
}

// From values to places between `start` and `end`, with some room beyond the outermost ones.
function axis(values, start, end) {
  const [lowest, highest] = [Math.min(...values), Math.max(...values)];
  const room = (highest - lowest) * 0.08 || 1;
  const [low, high] = [lowest - room, highest + room];
  const place = (v) => start + ((v - low) / (high - low)) * (end - start);
  const found = ticks(low, high);
  const digits = Math.max(0, -Math.floor(Math.log10(found[1] - found[0]) + 1e-9)); // those that tell ticks apart
  return { place, ticks: found.map((value) => ({ value, text: number(value, digits) })) };
}

// Axes through these values, and their grid with a label each.
export function axes(across, upwards, { width, height, labels }) {
  const [right, bottom] = [width - MARGIN.right, height - MARGIN.bottom];
  const x = axis(across, MARGIN.left, right);
  const y = axis(upwards, bottom, MARGIN.top);
  const grid = [
    ...x.ticks.map(({ value, text }) => svg("g", { class: "grid" },
      svg("line", { x1: x.place(value), x2: x.place(value), y1: MARGIN.top, y2: bottom }),
      svg("text", { x: x.place(value), y: bottom + 16, "text-anchor": "middle" }, text))),
    ...y.ticks.map(({ value, text }) => svg("g", { class: "grid" },
      svg("line", { x1: MARGIN.left, x2: right, y1: y.place(value), y2: y.place(value) }),
      svg("text", { x: MARGIN.left - 8, y: y.place(value) + 4, "text-anchor": "end" }, text))),
    svg("text", { x: right, y: height - 6, "text-anchor": "end", class: "label" }, labels[0]),
    svg("text", { transform: `translate(12 ${MARGIN.top}) rotate(-90)`, "text-anchor": "end", class: "label" }, labels[1]),
  ];
  return { x: x.place, y: y.place, grid };
}
