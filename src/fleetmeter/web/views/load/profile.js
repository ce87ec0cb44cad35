/** The quarter-hour profile of a period, and of the same time a week before. Pure. */
import { bucketAt, grid, meanPower, QUARTER, sumOfEnergy } from '../../lib/quarter_hours.js';
import { midnight } from '../../lib/time.js';

export const PERIODS = ['day', 'week', 'month'];
const WEEK = 7;

/** Return a day as `2026-11-29`, and the midnight here that began one. */
export const dayName = (at) => new Date(at).toLocaleDateString('sv-SE'); // as ISO 8601 writes a day
export function dayOf(name) {
  const [year, month, day] = /^(\d{4})-(\d\d)-(\d\d)$/.exec(name)?.slice(1).map(Number) ?? [];
  return year ? new Date(year, month - 1, day) : midnight(Date.now());
}

/** Return the first midnight of the period that a day is in, and the one that ends it. Weeks begin on Monday. */
export function periodOf(period, day) {
  const first = midnight(day);
  if (period === 'week') first.setDate(first.getDate() - ((first.getDay() + 6) % 7));
  if (period === 'month') first.setDate(1);
  const next = new Date(first);
  if (period === 'month') next.setMonth(next.getMonth() + 1);
  else next.setDate(next.getDate() + (period === 'week' ? WEEK : 1));
  return [first, next];
}

/** Return the day that a step back (−1) or on (1) from a day's period leads to. */
export function stepped(period, day, by) {
  const next = new Date(periodOf(period, day)[0]);
  if (period === 'month') next.setMonth(next.getMonth() + by);
  else next.setDate(next.getDate() + by * (period === 'week' ? WEEK : 1));
  return next;
}

/** Return the same time of day a week before, in ms. */
export const weekBefore = (at) => new Date(at).setDate(new Date(at).getDate() - WEEK);

/**
 * Return the profile of `from` ≤ t < `to`: mean power of each quarter hour in kW, null where nothing was metered.
 * @param {any[]} buckets of quarter hours, of the period and the week before it
 * @param {number} now only quarter hours that are over count
 */
export function profileOf(buckets, from, to, now) {
  const at = bucketAt(buckets);
  const times = grid(from, to);
  const over = (time) => time + QUARTER <= now;
  const of = (time) => (over(time) ? at(time) : undefined);
  const powers = times.map((time) => meanPower(of(time), 'energyConsumedAc'));
  const before = times.map((time) => meanPower(at(weekBefore(time)), 'energyConsumedAc'));
  return { times, powers, before, energies: times.map((time) => of(time)?.energyConsumedAc ?? null), passed: times.filter(over).length };
}

/** Return the highest of powers and when it was, or null; the first, of several that are equal. */
export function highest(times, powers) {
  let best = null;
  powers.forEach((power, index) => {
    if (power !== null && (best === null || power > best.power)) best = { power, at: times[index] };
  });
  return best;
}

/** Return what a period comes to. */
export function totalsOf({ times, powers, energies, passed }) {
  const known = powers.filter((each) => each !== null).length;
  const energy = sumOfEnergy(energies);
  return { energy, peak: highest(times, powers), mean: known ? energy / (known / 4) : null, missing: passed - known, passed };
}

/**
 * Return each day of a window with its energy and highest quarter hour, and those of the same weekday a week before
 * (up to the same time of day, for a day that is not over).
 */
export function daysOf(buckets, from, to, now) {
  const days = [];
  for (let first = midnight(from); first < to && first < now; first = midnight(first, 1)) {
    const part = (start, until) => totalsOf(profileOf(buckets, start, midnight(start, 1), until));
    days.push({ day: dayName(first), at: Number(first), ...part(Number(first), now), before: part(weekBefore(first), weekBefore(now)) });
  }
  return days;
}
