// Colours of subspaces, series and factor classes; distinguishable with every common colour vision.

export function groupColour(group) {
  return `var(--group-${group % 6})`;
}

const SERIES = ["#2f7fb8", "#d9822b", "#2a9d78", "#c05a9a", "#8a7a2c", "#6a67c9", "#b5473c"];

export const seriesColour = (k) => SERIES[k % SERIES.length];

const RAMP = [
  [68, 57, 131], [49, 104, 142], [33, 145, 140], [68, 176, 106], [143, 201, 52], [236, 205, 40],
];

// A class of a factor: along a ramp if the factor is ordered, else one of a few distinct colours.
export function classColour(index, size, ordered) {
  if (!ordered) return SERIES[index % SERIES.length];
  const at = (index / Math.max(1, size - 1)) * (RAMP.length - 1);
  const k = Math.min(RAMP.length - 2, Math.floor(at));
  const mix = RAMP[k].map((channel, c) => Math.round(channel + (RAMP[k + 1][c] - channel) * (at - k)));
  return `rgb(${mix})`;
}

// Negative values cool, positive ones warm, zero the panel itself.
export function divergingColour(value, limit) {
  const strength = Math.min(1, Math.abs(value) / limit);
  return `rgb(${value > 0 ? "214 96 47" : "48 118 190"} / ${strength.toFixed(3)})`;
}
