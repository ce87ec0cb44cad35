/** The columns of the lists of vehicles and meters. A row is `{id, state, doing, anomalies}`. */
import { html } from '../../lib/html.js';
import { TONES, nameOf, powerOf } from '../../lib/device_state.js';
import { ago, exactTime, measure, number, percent, power } from '../../lib/formats.js';
import { link } from '../../lib/router.js';
import { known, t } from '../../lib/texts.js';
import { Badge } from '../../parts/badge.js';
import { Icon } from '../../parts/icon.js';
import { Level } from '../../parts/level.js';

/** What a device does, as a badge. */
export const Doing = ({ kind, doing }) => html`
  <${Badge} tone=${doing === 'charging' && kind === 'meter' ? 'ac' : TONES[doing]}>${doing === 'charging' && html`<${Icon} name="bolt" />`}${t(`doing.${kind}.${doing}`)}<//>`;

/** A value that is older than the newest reading is shown as such. */
const aged = (state, field, text) => {
  const at = state.asOf?.[field];
  return at ? html`<span class="muted" title=${t('devices.asOf', { time: exactTime(at) })}>${text}</span>` : text;
};

const name = (kind) => ({
  key: 'name', label: t(`devices.name.${kind}`), value: (row) => nameOf(kind, row.state),
  cell: ({ id, state }) => html`
    <a class="device-name" href=${link(`/${kind}s`, id)} tabindex="-1">
      <b>${nameOf(kind, state)}</b>${state.settings?.label && html`<span>${id}</span>`}
    </a>`,
});

const id = (kind) => ({ key: 'id', label: `${kind}Id`, value: (row) => row.id, onlyCsv: true });

const doing = (kind) => ({
  key: 'doing', label: t('devices.state'), value: (row) => t(`doing.${kind}.${row.doing}`), cell: (row) => html`<${Doing} kind=${kind} doing=${row.doing} />`,
});

const site = { key: 'site', label: 'devices.site', value: (row) => row.state.settings?.site ?? null, wide: true };

const powerColumn = (kind) => ({
  key: 'power', label: t('devices.power'), number: true, value: (row) => powerOf(kind, row.state), 
  cell: (row) => html`<span class=${powerOf(kind, row.state) === 0 ? 'muted' : ''}>${power(powerOf(kind, row.state))}</span>`,
});

const anomaliesColumn = {
  key: 'anomalies', label: 'devices.anomalies', number: true, wide: true, value: (row) => row.anomalies.length,
  cell: (row) => row.anomalies.length > 0 && html`
    <${Badge} tone=${row.anomalies.some((each) => each.severity === 'critical') ? 'critical' : 'warning'}>${number(row.anomalies.length)}<//>`,
};

const seen = {
  key: 'seen', label: 'devices.seen', number: true, wide: true, value: (row) => row.state.timestamp, sort: (row) => Date.parse(row.state.timestamp),
  cell: (row) => html`<span title=${exactTime(row.state.timestamp)}>${ago(row.state.timestamp)}</span>`,
};

const measured = (key, field, label, text) => ({
  key, label: t(label), number: true, wide: true, value: (row) => row.state[field] ?? null, cell: (row) => aged(row.state, field, text(row.state[field])),
});

const VEHICLE = () => [
  {
    key: 'soc', label: t('devices.soc'), number: true, value: (row) => row.state.soc ?? null,
    cell: ({ state }) => aged(state, 'soc', html`<${Level} percent=${state.soc} /><span class="level-figure">${percent(state.soc)}</span>`),
  },
  powerColumn('vehicle'),
  measured('temp', 'batteryTemp', 'measurement.batteryTemp', (value) => measure(value, '°C', 1)),
  measured('odometer', 'odometerKm', 'measurement.odometerKm', (value) => measure(value, 'km')),
  {
    key: 'meter', label: t('devices.meter'), wide: true, value: (row) => row.state.meterId ?? null,
    cell: ({ state }) => (state.meterId ? html`<a href=${link('/meters', state.meterId)} tabindex="-1">${state.meterId}</a>` : null),
  },
];

const METER = () => [
  {
    key: 'role', label: t('setting.role'), wide: true, value: (row) => role(row.state.settings?.role),
  },
  powerColumn('meter'),
  {
    key: 'load', label: t('devices.load'), number: true, wide: true, value: (row) => loadOf(row.state),
    cell: ({ state }) => html`<${Level} percent=${loadOf(state)} tone="ac" /><span class="level-figure">${percent(loadOf(state))}</span>`,
  },
  measured('voltage', 'voltage', 'measurement.voltage', (value) => measure(value, 'V', 1)),
];

export const role = (name) => known(`role.${name ?? 'charger'}`, name);

/** Power as a share of the rated power, percent. */
function loadOf(state) {
  const rated = state.settings?.ratedPowerKw;
  const now = powerOf('meter', state);
  return rated && now !== null ? (Math.abs(now) / rated) * 100 : null;
}

/** @param {'vehicle' | 'meter'} kind */
export const columnsOf = (kind) => [
  id(kind), name(kind), { ...site, label: t(site.label) }, doing(kind), ...(kind === 'vehicle' ? VEHICLE() : METER()),
  { ...anomaliesColumn, label: t(anomaliesColumn.label) }, { ...seen, label: t(seen.label) },
];
