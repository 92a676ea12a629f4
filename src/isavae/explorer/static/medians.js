// Medians and quartiles over the seeds of a series at one β.

// Quantile of sorted values, linear between them.
function quantile(sorted, q) {
  const at = (sorted.length - 1) * q;
  const low = Math.floor(at);
  return sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
}

function spread(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const [low, middle, high] = [0.25, 0.5, 0.75].map((q) => quantile(sorted, q));
  return { low, middle, high };
}

// One entry per series and β of at least two runs: { series, beta, count, x, y }.
export function medians(rows, measure) {
  const groups = Map.groupBy(rows, ({ series, beta }) => JSON.stringify([series, beta]));
  return [...groups.values()].filter((group) => group.length > 1).map((group) => ({
    series: group[0].series, beta: group[0].beta, count: group.length,
    x: spread(group.map((row) => row.reconstruction)), y: spread(group.map((row) => row[measure])),
  }));
}
