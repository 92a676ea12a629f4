// Starts the page: what is there to see, which run, in which state.

import * as api from "./api.js";
import { startBlend } from "./blend.js";
import { startCards } from "./cards.js";
import { startDecoder } from "./decoder.js";
import { byId, notice } from "./dom.js";
import { startExporting } from "./exporting.js";
import { startHeatmap } from "./heatmap.js";
import { startKeys } from "./keys.js";
import { startNaming } from "./naming.js";
import { keepLink, readLink } from "./permalink.js";
import { openRun } from "./opening.js";
import { startNearest } from "./nearest.js";
import { startPicker } from "./picker.js";
import { seedRandom } from "./random.js";
import { startScatter } from "./scatter.js";
import { startScores } from "./scores.js";
import { startSheet } from "./sheet.js";
import { startStage } from "./stage.js";
import { nameOf, on, set, state } from "./state.js";
import { startStrip } from "./strip.js";
import { startStudy } from "./study.js";
import { startTerms } from "./terms.js";
import { startTogether } from "./together.js";

const many = (steps) => `${steps.toLocaleString("en")} steps`;

function describeRun() {
  const { overview, model } = state;
  const name = overview.kind === "study" ? `${overview.title} / ${model.id}` : overview.title;
  byId("title").textContent = name;
  document.title = `${name} – isavae explorer`;
  byId("facts").textContent = [
    `prior ${model.prior}`,
    `${model.objective}: ${model.weights}`,
    model.data,
    model.step < model.steps ? `${model.step.toLocaleString("en")} of ${many(model.steps)}` : many(model.steps),
  ].join("  ·  ");
}

const STATES = {
  gone: "The run's files are gone; the page goes on with what it has read.",
  unreadable: "The run's files cannot be read just now; the page shows the last good ones.",
  present: "The run's files are back.",
};

// Says when a run changes or goes away while it is looked at; a changed one is shown anew.
function followChanges() {
  let told = "present";
  on(["run"], () => (told = "present"));
  api.watchVersions((run, version, now) => {
    if (run !== state.run || !state.model) return;
    if (now !== told) notice(STATES[now], { stays: now !== "present" });
    told = now;
    if (version === state.model.version || now !== "present") return;
    state.model.version = version;
    notice("The run was trained or scored further; this is its newest state.");
    const { code, latent, image, other } = state;
    openRun(run, { code, latent: nameOf(latent), image: image?.index, other: other?.index });
  });
}

function switchThemes() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const now = () => document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light");
  const tell = () => set({ theme: now() });
  byId("theme").addEventListener("click", () => {
    const theme = now() === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    localStorage.setItem("isavae-theme", theme);
    tell();
  });
  system.addEventListener("change", tell);
  tell();
}

const PARTS = [
  startDecoder, startStage, startCards, startScatter, startStrip, startNearest, startTogether, startHeatmap, startSheet, startNaming, startScores, startPicker,
  startBlend, startExporting, startKeys, keepLink, followChanges, switchThemes,
  startTerms,
];

async function start() {
  for (const begin of PARTS) begin();
  on(["model"], describeRun);
  const link = readLink();
  seedRandom(link.seed);
  const overview = await api.overview();
  set({ overview, colourBy: link.colourBy });
  if (!link.run || !(await openRun(link.run, link))) await openRun(overview.first, link);
  if (overview.kind === "study") await startStudy();
}

start().catch((error) => notice(error.message, { stays: true }));
