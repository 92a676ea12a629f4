// Requests to the server. Every response names the version of the run.

import { unpack } from "./pixels.js";

let watcher = () => {};

// Called with (version, state) of the run after every answer.
export function watchVersions(callback) {
  watcher = callback;
}

// When the server looked at each run, as of the last answer that was heeded: a slow answer must not
// tell, after a quick one, what was true before it.
const heeded = new Map();

async function request(path, options) {
  let response;
  try {
    response = await fetch(`api/${path}`, options);
  } catch {
    throw new Error("the server does not answer: is isavae explore still running?");
  }
  const version = response.headers.get("x-run-version");
  const looked = Number(response.headers.get("x-run-looked"));
  const run = path.split("/")[1];
  if (version && looked > (heeded.get(run) ?? 0)) {
    heeded.set(run, looked);
    watcher(run, version, response.headers.get("x-run-state"));
  }
  if (!response.ok) {
    const answer = await response.json().catch(() => ({ error: `the server answered ${response.status}` }));
    throw new Error(answer.error);
  }
  return response;
}

async function ask(path, params = {}) {
  const query = new URLSearchParams(params).toString();
  return (await request(query ? `${path}?${query}` : path)).json();
}

const of = (run, what = "") => `runs/${encodeURIComponent(run)}${what}`;

export const overview = () => ask("overview");
export const study = () => ask("study");
export const model = (run) => ask(of(run));
export const images = (run) => ask(of(run, "/images"));
export const curves = (run, params) => ask(of(run, "/curves"), params);
export const contours = (run, x, y) => ask(of(run, "/contours"), { x, y });
export const sample = async (run, seed) => (await ask(of(run, "/sample"), { seed })).code;
export const gallery = async (run, seed) => tiles(await ask(of(run, "/gallery"), { seed }));

export const summary = (run) => ask(of(run, "/summary"));

export async function scatter(run, by) {
  const answer = await ask(of(run, "/scatter"), by ? { by } : {});
  return { ...answer, points: new Float32Array(unpack(answer.points).buffer) };
}

const withPixels = (answer) => ({ ...answer, pixels: unpack(answer.pixels) });

export const image = async (run, params) => withPixels(await ask(of(run, "/image"), params));

// The real images nearest to the codes of a traversal of a latent.
export async function nearest(run, latent, codes) {
  const path = of(run, `/nearest?latent=${latent}`);
  return tiles(await (await request(path, { method: "POST", body: packed(codes) })).json());
}

// Images with their numbers: [{ index, pixels }].
function tiles({ indices, pixels }) {
  return split(unpack(pixels), indices.length).map((each, k) => ({ index: indices[k], pixels: each }));
}

function split(bytes, count) {
  const size = bytes.length / count;
  return Array.from({ length: count }, (_, k) => bytes.subarray(k * size, (k + 1) * size));
}

export async function encode(run, file) {
  const response = await request(of(run, "/encode"), { method: "POST", body: file });
  return withPixels(await response.json());
}

// Images of codes, all in one call: an array of pixel arrays.
export async function decode(run, codes, what = "decode") {
  const response = await request(of(run, `/${what}`), { method: "POST", body: packed(codes) });
  return split(new Uint8Array(await response.arrayBuffer()), codes.length);
}

// The same for many codes that may take longer: a dragged slider does not wait for them.
export const decodeSheet = (run, codes) => decode(run, codes, "sheet");

// Names latents, { z5: "slant" }; an empty name takes one away.
export async function giveNames(run, names) {
  return (await request(of(run, "/names"), { method: "POST", body: JSON.stringify(names) })).json();
}

export async function gif(run, codes) {
  const response = await request(of(run, "/gif"), { method: "POST", body: packed(codes) });
  return response.blob();
}

function packed(codes) {
  return Float32Array.from(codes.flat());
}
