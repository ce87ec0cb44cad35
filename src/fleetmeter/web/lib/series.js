/** Series of what a device measured, with gaps where nothing was measured. */

const GAP_INTERVALS = 3;

/**
 * Return items with a `null` where time passed without any, so that a line is not drawn across.
 * @template T
 * @param {T[]} items ascending
 * @param {(item: T) => number} at end of an item, ms
 * @param {number} everyMs how far apart they are when none is missing
 * @returns {{at: number, item: T | null}[]}
 */
export function gapped(items, at, everyMs) {
  const found = [];
  for (const item of items) {
    const time = at(item);
    const last = found.at(-1);
    if (last && time - last.at > GAP_INTERVALS * everyMs) found.push({ at: last.at + everyMs, item: null });
    found.push({ at: time, item });
  }
  return found;
}

/** Return how far apart readings are in the middle, ms; at least the interval that is expected. */
export function usualStep(times, expectedMs) {
  const steps = times.slice(1).map((time, index) => time - times[index]).sort((a, b) => a - b);
  return Math.max(expectedMs, steps[Math.floor(steps.length / 2)] ?? 0);
}

/** Mean power of a bucket of energy, kW; null without energy. */
export const meanPower = (kwh, bucket) =>
  (kwh === null || kwh === undefined ? null : (kwh * 3_600_000) / (Date.parse(bucket.to) - Date.parse(bucket.from)));
