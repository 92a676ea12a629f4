// Random numbers; those of an address with `seed=7` in its fragment are the same every time.

let seed = 0;

export function seedRandom(value) {
  seed = value ?? Math.floor(Math.random() * 2 ** 31);
}

// A whole number from 0 to below `limit` (mulberry32).
export function randomBelow(limit) {
  seed = (seed + 0x6d2b79f5) | 0;
  let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
}
