// The runs of a study as a list: a click on a header sorts it, one on a row opens the run.

import { el, number } from "./dom.js";
import { inlineMark } from "./marks.js";
import { openRun } from "./opening.js";

const MOST = 500; // rows that are shown

// Title, what a cell shows, and whether larger values come first.
const COLUMNS = {
  id: { title: "run", show: (row) => row.id },
  series: { title: "model", show: (row) => row.series },
  beta: { title: "β", show: (row) => row.beta ?? "–" },
  seed: { title: "seed", show: (row) => row.seed ?? "–" },
  mig: { title: "MIG", show: (row) => number(row.mig, 3), down: true },
  kl: { title: "KL", show: (row) => number(row.kl, 1) },
  reconstruction: { title: "log p", show: (row) => number(row.reconstruction, 1), down: true },
};

const order = new Intl.Collator("en", { numeric: true });

// Rows by a column, those without a value last.
export function sorted(rows, { by, down }) {
  const sign = down ? -1 : 1;
  const compare = (a, b) => (typeof a === "string" ? order.compare(a, b) : a - b);
  return rows.toSorted((a, b) => {
    if (a[by] === null || b[by] === null) return (a[by] === null) - (b[by] === null);
    return sign * compare(a[by], b[by]) || order.compare(a.id, b.id);
  });
}

function header(name, { by, down }, onSort) {
  const { title, down: first = false } = COLUMNS[name];
  const here = name === by;
  return el("th", { scope: "col", "aria-sort": here ? (down ? "descending" : "ascending") : "none" },
    el("button", { onclick: () => onSort({ by: name, down: here ? !down : first }), "data-column": name },
      title, el("span", { "aria-hidden": "true" }, here ? (down ? " ↓" : " ↑") : "")));
}

function line(row, names, series, { onPoint, onCompare }) {
  const cell = (name) => {
    const text = COLUMNS[name].show(row);
    if (name === "id") return el("th", { scope: "row", title: row.id }, el("button", { disabled: !row.trained }, text),
      row.status === "done" ? null : el("small", {}, ` ${row.status}`));
    if (name === "series") return el("td", { title: row.series }, inlineMark(series.indexOf(row.series)), text);
    return el("td", { class: "number" }, text);
  };
  const compare = (event) => {
    event.stopPropagation();
    onCompare(row.id);
  };
  const away = () => onPoint(null);
  return el("tr", {
    "data-run": row.id, onclick: () => row.trained && openRun(row.id),
    onpointerenter: () => onPoint(row.id), onpointerleave: away, onfocusin: () => onPoint(row.id), onfocusout: away,
  }, names.map(cell), el("td", {}, el("button", {
    class: "compare", disabled: !row.trained, title: "Compare with the first run below", "aria-label": `Compare with ${row.id}`, onclick: compare,
  }, "⇄")));
}

// The list; columns in which no run has a value are left out.
export function runList(rows, { all, series, sort, onSort, onPoint, onCompare }) {
  const names = Object.keys(COLUMNS).filter((name) => all.some((row) => row[name] !== null));
  const table = el("table", { class: "runs" },
    el("thead", {}, el("tr", {}, names.map((name) => header(name, sort, onSort)), el("td", {}))),
    el("tbody", {}, sorted(rows, sort).slice(0, MOST).map((row) => line(row, names, series, { onPoint, onCompare }))));
  if (rows.length <= MOST) return [table];
  return [table, el("p", { class: "quiet" }, `The first ${MOST} of ${rows.length.toLocaleString("en")} runs: filter them to see others.`)];
}
