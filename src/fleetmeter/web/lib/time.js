/** Windows of time, half-open as the API has them, in the browser's time zone. */

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** Name of the browser's time zone, for the `tz` of the API. */
export const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';

/** Return the midnight that began the day of a time, `days` days on (a day has 23 to 25 hours). */
export function midnight(at, days = 0) {
  const found = new Date(at);
  found.setHours(0, 0, 0, 0);
  found.setDate(found.getDate() + days);
  return found;
}

/** Return a time as the API writes it. */
export const rfc3339 = (at) => new Date(at).toISOString();

/** Return a time as fields of type `datetime-local` have it: local, to the second. */
export function localInput(at) {
  const local = new Date(at);
  local.setMinutes(local.getMinutes() - local.getTimezoneOffset());
  return local.toISOString().slice(0, 19);
}

/** Windows that can be chosen by name. Those of days begin at midnight here. */
export const PRESETS = {
  today: (now) => [midnight(now), now],
  '24h': (now) => [new Date(now - DAY), now],
  '7d': (now) => [midnight(now, -6), now],
  '30d': (now) => [midnight(now, -29), now],
};

/**
 * Return a window by its name, or by its two days `2026-11-01..2026-11-30` (both included).
 * @param {string} name
 * @returns {{from: string, to: string, bucket: '15min' | 'hour' | 'day', tz?: string}} parameters of the API
 */
export function windowOf(name, now = new Date()) {
  const days = /^(\d{4})-(\d\d)-(\d\d)\.\.(\d{4})-(\d\d)-(\d\d)$/.exec(name)?.slice(1).map(Number);
  const preset = PRESETS[name] ?? PRESETS['24h'];
  const [from, to] = days
    ? [new Date(days[0], days[1] - 1, days[2]), new Date(days[3], days[4] - 1, days[5] + 1)]
    : preset(new Date(Math.ceil(now / MINUTE) * MINUTE));
  const length = to - from;
  const bucket = length <= 2 * DAY ? '15min' : length <= 8 * DAY ? 'hour' : 'day';
  return { from: rfc3339(from), to: rfc3339(to), bucket, ...(bucket === 'day' ? { tz: ZONE } : {}) };
}
