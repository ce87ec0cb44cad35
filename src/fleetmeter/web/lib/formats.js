/** Numbers, units and times as people of the chosen language write them. What is null is shown as –. */
import { locale, t } from './texts.js';

export const NOTHING = '–';

const made = new Map();

/** Return a formatter of Intl; making one is slow, so each is made once. `options` must be the same object each time. */
function formatter(type, options) {
  const language = locale();
  if (!made.has(language)) made.set(language, new Map());
  const ours = made.get(language);
  if (!ours.has(options)) ours.set(options, new type(language, options));
  return ours.get(options);
}

const AGES = { numeric: 'auto', style: 'short' };
const DIGITS = Array.from({ length: 10 }, (_, digits) => ({ minimumFractionDigits: digits, maximumFractionDigits: digits }));

const missing = (value) => value === null || value === undefined || Number.isNaN(value);

/**
 * @param {number | null | undefined} value
 * @param {number} [digits] after the decimal point
 */
export function number(value, digits = 0) {
  if (missing(value)) return NOTHING;
  return formatter(Intl.NumberFormat, DIGITS[digits]).format(value);
}

/** Return a formatted number without zeros at the end of its decimals, as axes have it: 2.50 kW is 2.5 kW. */
export function withoutZeros(text) {
  const point = formatter(Intl.NumberFormat, DIGITS[1]).formatToParts(0.5).find(({ type }) => type === 'decimal').value;
  const [whole, decimals] = text.split(point, 2);
  if (decimals === undefined) return text;
  return `${whole}${point}${decimals.replace(/^(\d*?)0*(?=\D|$)/, '$1')}`.replace(new RegExp(`\\${point}(?=\\D|$)`), '');
}

const withUnit = (parts) => (parts.unit ? `${parts.value}\u00a0${parts.unit}` : parts.value);

const scaled = (value, unit) => {
  if (missing(value)) return { value: NOTHING, unit: '' };
  const size = Math.abs(value);
  if (size >= 10_000) return { value: number(value / 1000, size >= 100_000 ? 0 : 1), unit: `M${unit}` };
  if (size > 0 && size < 0.1) return { value: number(value * 1000, size >= 0.01 ? 0 : 1), unit };
  return { value: number(value, size >= 100 ? 0 : size >= 10 || value === 0 ? 1 : 2), unit: `k${unit}` };
};

/** Energy in kWh as figure and unit apart, for tiles: `{value: '12.3', unit: 'MWh'}`. */
export const energyParts = (kwh) => scaled(kwh, 'Wh');

/** Power in kW as figure and unit apart. */
export const powerParts = (kw) => scaled(kw, 'W');

/** A share (0…1) in percent as figure and unit apart. */
export const shareParts = (share, digits = 1) =>
  missing(share) ? { value: NOTHING, unit: '' } : { value: number(share * 100, digits), unit: '%' };

/** Energy: kWh, from 10,000 kWh on MWh, below 0.1 kWh Wh (what a charger draws at rest). */
export const energy = (kwh) => withUnit(energyParts(kwh));

/** Power: kW, from 10,000 kW on MW, below 0.1 kW W. */
export const power = (kw) => withUnit(powerParts(kw));

/** A share from 0 to 1, in percent. */
export const share = (value, digits = 1) => withUnit(shareParts(value, digits));

/** A value that is in percent already, such as a state of charge. */
export const percent = (value, digits = 0) => (missing(value) ? NOTHING : `${number(value, digits)}\u00a0%`);

/** A value with a unit of its own, such as `measure(36.5, '°C', 1)`. */
export const measure = (value, unit, digits = 0) => (missing(value) ? NOTHING : `${number(value, digits)}\u00a0${unit}`);

const dated = (options) => (at) => (missing(at) || at === '' ? NOTHING : formatter(Intl.DateTimeFormat, options).format(new Date(at)));

/** A time (RFC 3339, milliseconds or Date) in the browser's time zone: date and time to the minute. */
export const dateTime = dated({ dateStyle: 'medium', timeStyle: 'short' });
/** The same to the second. */
export const exactTime = dated({ dateStyle: 'medium', timeStyle: 'medium' });
export const date = dated({ dateStyle: 'medium' });
export const dayMonth = dated({ day: 'numeric', month: 'short' });
export const weekday = dated({ weekday: 'short', day: 'numeric', month: 'short' });
export const clock = dated({ hour: '2-digit', minute: '2-digit' });

const STEPS = [['day', 86_400], ['hour', 3600], ['minute', 60], ['second', 1]];

/** How long ago a time was: “3 minutes ago”. */
export function ago(at, now = Date.now()) {
  if (missing(at)) return NOTHING;
  const seconds = (new Date(at).getTime() - now) / 1000;
  const [unit, length] = STEPS.find(([, each]) => Math.abs(seconds) >= each) ?? STEPS.at(-1);
  return formatter(Intl.RelativeTimeFormat, AGES).format(Math.round(seconds / length), unit);
}

/** A duration in seconds by its two largest units: “2 d 3 h”, “4 min”. */
export function duration(seconds) {
  if (missing(seconds)) return NOTHING;
  let left = Math.max(0, Math.round(seconds));
  const parts = [];
  for (const [unit, length] of STEPS) {
    const count = Math.floor(left / length);
    left %= length;
    if (count && parts.length < 2) parts.push(`${number(count)}\u00a0${t(`unit.${unit}`)}`);
  }
  return parts.join(' ') || `0\u00a0${t('unit.second')}`;
}
