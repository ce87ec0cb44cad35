/** Quarter hours: from the buckets of the API, which leaves out empty ones, to a grid of time with gaps. */
import { HOUR, MINUTE } from './time.js';

export const QUARTER = 15 * MINUTE;

/** Return the quarter hour that a time lies in, or the one after it, in ms. */
export const quarterBefore = (at) => Math.floor(new Date(at) / QUARTER) * QUARTER;
export const quarterAfter = (at) => Math.ceil(new Date(at) / QUARTER) * QUARTER;

/** Return the beginnings of the steps from `from` until before `to`, in ms. */
export function grid(from, to, step = QUARTER) {
  const times = [];
  for (let at = Number(from); at < to; at += step) times.push(at);
  return times;
}

/** Return a function that gives the bucket which a time (ms) lies in, or undefined. Buckets are of quarter hours. */
export function bucketAt(buckets) {
  const byStart = new Map(buckets.map((each) => [quarterBefore(each.from), each]));
  return (at) => byStart.get(quarterBefore(at));
}

/**
 * Return the mean power in kW of an energy in a bucket; null stays null.
 * @param {{from: string, to: string} | undefined} bucket
 * @param {string} name of the energy in kWh, such as `energyConsumedAc`
 */
export function meanPower(bucket, name) {
  const kwh = bucket?.[name];
  if (kwh === null || kwh === undefined) return null;
  return kwh / ((Date.parse(bucket.to) - Date.parse(bucket.from)) / HOUR);
}

/** Return the exact sum of energies in kWh, which the service stores in whole mWh; null if there are none. */
export function sumOfEnergy(kwhs) {
  const known = kwhs.filter((each) => each !== null && each !== undefined);
  return known.length ? known.reduce((sum, each) => sum + Math.round(each * 1e6), 0) / 1e6 : null;
}
