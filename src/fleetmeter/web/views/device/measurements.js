/** How good the data of a device are, and its single readings. */
import { html } from '../../lib/html.js';
import { path } from '../../lib/api.js';
import { intervalOf } from '../../lib/device_state.js';
import { duration, exactTime, number, share } from '../../lib/formats.js';
import { useQuery } from '../../lib/query.js';
import { known, t } from '../../lib/texts.js';
import { Badge } from '../../parts/badge.js';
import { Panel } from '../../parts/panel.js';
import { Empty } from '../../parts/states.js';
import { Table, tableCsv } from '../../parts/table.js';
import { QualityBadge } from './quality_badge.js';
import { Readings } from './readings.js';

const COMPLETE = 0.95; // as the API has it
const SIDES = { vehicle: ['dc', 'ac', 'compared', 'charging'], meter: ['ac', 'dc', 'compared', 'charging'] };

export const Measurements = (device) => html`
  <div class="grid">
    <${Quality} ...${device} />
    <${Reporting} ...${device} />
  </div>
  <${Rejections} ...${device} />
  <${Readings} ...${device} />`;

function Quality({ kind, id, window }) {
  const { from, to } = window;
  const query = useQuery(kind === 'vehicle' ? path`/v1/analytics/performance/${id}` : path`/v1/analytics/meters/${id}`, { from, to });
  const csv = () => ({ name: `${id}-coverage`, columns: ['side', 'coverage'], rows: Object.entries(query.data.quality.coverage) });
  return html`
    <${Panel} title=${t('quality.title')} query=${query} csv=${csv}>
      ${({ quality }) => html`
        <div class="stack">
          <div><${QualityBadge} status=${quality.status} /></div>
          <dl class="bars">
            ${SIDES[kind].map((side) => html`<${Coverage} key=${side} side=${side} value=${quality.coverage[side]} />`)}
          </dl>
          ${quality.reasons.length > 0 && html`<ul class="reasons">${quality.reasons.map((reason) => html`<li key=${reason}>${reason}</li>`)}</ul>`}
        </div>`}
    <//>`;
}

const Coverage = ({ side, value }) => html`
  <div>
    <dt title=${t(`quality.${side}Detail`)}>${t(`quality.${side}`)}</dt>
    <dd><span class=${`bar tone-${value >= COMPLETE ? 'ok' : 'warning'}`} aria-hidden="true"><i style=${{ width: `${(value ?? 0) * 100}%` }}></i></span>
      <span class="number">${share(value)}</span></dd>
  </div>`;

/** Compares what is expected of a device with what it does. */
function Reporting({ kind, id, state, query }) {
  const { observedIntervalS, observedReports } = query.data ?? {};
  const facts = [
    [t('quality.expectedInterval'), html`${duration(intervalOf(state))} ${!state.settings?.reportingIntervalS && html`<span class="muted">${t('quality.byDefault')}</span>`}`],
    [t('quality.observedInterval'), observedIntervalS ? html`<${Badge} tone="warning">${duration(observedIntervalS)}<//>` : t('quality.asExpected')],
    [t('setting.reports'), t(`reports.${state.settings?.reports ?? 'always'}`)],
    ...(observedReports ? [[t('quality.observedReports'), html`<${Badge} tone="warning">${t(`reports.${observedReports}`)}<//>`]] : []),
    [t('quality.newest'), exactTime(state.timestamp)],
    [t('quality.arrived'), html`${exactTime(state.lastSeen)} <span class="muted">${t('quality.delay', { duration: duration((Date.parse(state.lastSeen) - Date.parse(state.timestamp)) / 1000) })}</span>`],
  ];
  return html`
    <${Panel} title=${t('quality.reporting')} request=${query.request}>
      <dl class="facts-list">${facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
      ${(observedIntervalS || observedReports) && html`<p class="muted small">${t('quality.adjust', { id })}</p>`}
    <//>`;
}

const rejectionColumns = () => [
  { key: 'code', label: t('rejection.code'), value: (each) => each.code, cell: (each) => known(`rejection.${each.code}`, each.code) },
  { key: 'count', label: t('rejection.count'), number: true, value: (each) => each.count, cell: (each) => number(each.count) },
  { key: 'last', label: t('rejection.last'), value: (each) => each.lastAt, cell: (each) => exactTime(each.lastAt), wide: true },
  {
    key: 'example', label: t('rejection.example'), value: (each) => each.example.detail,
    cell: (each) => html`<span title=${each.example.reading}>${each.example.detail}</span>`,
  },
];

function Rejections({ kind, id }) {
  const query = useQuery('/v1/rejections', { deviceId: id, kind });
  const columns = rejectionColumns();
  const rows = query.data?.items ?? [];
  return html`
    <${Panel} flush title=${t('rejection.title')} detail=${t('rejection.detail')} query=${query} csv=${() => tableCsv(`${id}-rejections`, columns, rows)}>
      ${() => html`<${Table} label=${t('rejection.title')} rows=${rows} rowKey=${(each) => each.code} columns=${columns} height="18rem"
        empty=${html`<${Empty} icon="check" title=${t('rejection.none')} />`} />`}
    <//>`;
}
