// The mark of a series: a colour and a shape, so that colours alone need not tell series apart.

import { seriesColour } from "./colours.js";
import { svg } from "./dom.js";

// Outlines of about the same area around the origin, for a radius of 1.
const SHAPES = [
  "M-1 0a1 1 0 1 0 2 0a1 1 0 1 0-2 0Z",
  "M-.88-.88H.88V.88H-.88Z",
  "M0-1.25L1.15.85H-1.15Z",
  "M0-1.3L1.3 0L0 1.3L-1.3 0Z",
];

export const markOf = (k) => ({ colour: seriesColour(k), shape: SHAPES[k % SHAPES.length] });

// The mark of series k in a line of text.
export function inlineMark(k) {
  const { colour, shape } = markOf(k);
  return svg("svg", { class: "mark", viewBox: "-1.5 -1.5 3 3", "aria-hidden": "true", style: { color: colour } },
    svg("path", { d: shape }));
}
