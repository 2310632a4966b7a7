// @ts-check
// Chance with a seed: the same fleet does the same things in every test.

/** @param {number} seed */
export function chance(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/**
 * @param {number} ms
 * @param {() => number} random
 */
export function ulid(ms, random) {
  let time = '';
  for (let rest = ms, i = 0; i < 10; i++) {
    time = CROCKFORD[rest % 32] + time;
    rest = Math.floor(rest / 32);
  }
  let tail = '';
  for (let i = 0; i < 16; i++) tail += CROCKFORD[Math.floor(random() * 32)];
  return time + tail;
}

/**
 * @param {() => number} random
 */
export function digest(random) {
  let hex = '';
  for (let i = 0; i < 64; i++) hex += Math.floor(random() * 16).toString(16);
  return `sha256:${hex}`;
}
