/** What the API says about an anomaly, in words and units of the page. */
import { dateTime, duration, NOTHING, number, share } from '../../lib/formats.js';
import { html } from '../../lib/html.js';
import { link } from '../../lib/router.js';
import { known, t } from '../../lib/texts.js';

export const SEVERITIES = ['critical', 'warning', 'info'];
export const STATUSES = ['open', 'acknowledged', 'resolved'];

/** The name of a kind of anomaly, which is its rule's. @param {string} kind @param {string} [title] the API's own */
export const kindName = (kind, title = kind) => known(`kind.${kind}`, title);

export const causeName = (cause) => (cause === null ? NOTHING : known(`cause.${cause}`, cause));

/** Return one sentence on what was found: the page's, or the API's where the page has none or a figure is missing. */
export function summaryOf(anomaly) {
  const { evidence, kind, summary } = anomaly;
  const figures = Object.entries(evidence).filter(([, value]) => value !== null).map(([name, value]) => [name, figure(name, value, kind)]);
  const text = known(`summary.${kind}`, summary, { summary, id: anomaly.deviceId, since: dateTime(anomaly.startedAt), ...Object.fromEntries(figures) });
  return /\{\w+\}/.test(text) ? summary : text;
}

/** The same in its language. */
export function Summary({ anomaly }) {
  return html`<${Worded} text=${summaryOf(anomaly)} own=${anomaly.summary} />`;
}

/** What a rule looks for. @param {{kind: string, description: string}} rule as the API describes it */
export const aboutRule = ({ kind, description }) => known(`about.${kind}`, description, { description });

/** What a threshold of a rule means. @param {any} rule as the API describes it @param {string} name of the threshold */
export function meaningOf({ kind, schema }, name) {
  const { description } = schema.properties[name];
  return known(`meaning.${kind}.${name}`, known(`meaning.${name}`, description, { description }), { description });
}

/** A sentence of the page's or, where it has none, of the API's, which is English. */
export const Worded = ({ text, own }) => html`<span lang=${text === own ? 'en' : undefined}>${text}</span>`;

/** How long it lasted, or has lasted so far, in seconds. */
export const lasted = (anomaly, now = Date.now()) =>
  (Math.max(0, (anomaly.endedAt ? Date.parse(anomaly.endedAt) : now) - Date.parse(anomaly.startedAt))) / 1000;

/** The device or site, with a link to its view. */
export const Subject = ({ kind, id }) =>
  kind === 'site' ? html`<a href=${`${link('/load')}?of=site&id=${encodeURIComponent(id)}`}>${id}</a>`
  : html`<a href=${link(`/${kind}s`, id)}>${id}</a>`;

const UNITS = [[/kwh$/i, 'kWh', 3], [/Kw$/, 'kW', 2], [/W$/, 'W', 0], [/(?<!Per)C$/, '°C', 1], [/V$/, 'V', 1]];
const LENGTHS = [[/(Min|^minutes)$/, 60], [/(H|^hours|Hours)$/, 3600], [/S$/, 1], [/Days$/, 86_400]];
const SHARES = new Set(['efficiency', 'expected', 'usual', 'drop', 'coverageAc', 'misfit', 'coldAllowance', 'threshold']);
const PERCENTS = new Set(['soc', 'minSoc', 'maxSoc']);
const TIMES = new Set(['windowFrom', 'lastAt', 'acceptedAt']);

/**
 * Return a figure of the evidence as people read it: its name carries its unit.
 * @param {string} name @param {any} value @param {string} [kind] of the anomaly
 */
export function figure(name, value, kind) {
  if (value === null || value === undefined) return NOTHING;
  if (TIMES.has(name)) return dateTime(value);
  if (Array.isArray(value)) return value.join(', ');
  if (typeof value !== 'number') return known(`fact.${name}.${value}`, String(value));
  if (name === 'threshold' && kind === 'register_unstable') return number(value);
  if (SHARES.has(name)) return share(value);
  if (PERCENTS.has(name)) return `${number(value, value % 1 ? 2 : 0)}\u00a0%`;
  return withUnit(name, value);
}

/** Return a threshold as people read it. Shares stay the numbers from 0 to 1 that are set. */
export function threshold(name, value) {
  if (value === null || value === undefined) return NOTHING;
  if (typeof value === 'boolean') return t(value ? 'rule.yes' : 'rule.no');
  if (Array.isArray(value)) return value.map((pair) => `${number(pair[0], 1)}\u00a0kW: ${number(pair[1], 2)}`).join(' · ');
  return typeof value === 'number' ? withUnit(name, value) : String(value);
}

function withUnit(name, value) {
  const length = LENGTHS.find(([ends]) => ends.test(name));
  if (length) return value < 0 ? `−${duration(-value * length[1])}` : duration(value * length[1]);
  const unit = UNITS.find(([ends]) => ends.test(name));
  const digits = Math.min(unit ? unit[2] : 3, (String(value).split('.')[1] ?? '').length);
  return unit ? `${number(value, digits)}\u00a0${unit[1]}` : number(value, digits);
}

/** Names of figures that are ids of meters, and so lead to their view. */
export const METERS = new Set(['meterId', 'otherMeterId']);
