/** The inbox of anomalies: what is open first, live. */
import { ago, dateTime, duration, number } from '../lib/formats.js';
import { html, useEffect, useMemo, useState } from '../lib/html.js';
import { useQuery } from '../lib/query.js';
import { go, link } from '../lib/router.js';
import { onAnomaly } from '../lib/stream.js';
import { t } from '../lib/texts.js';
import { windowOf } from '../lib/time.js';
import { useUrlState } from '../lib/url_state.js';
import { SeverityBadge, StatusBadge } from '../parts/badge.js';
import { Field, Search, Segments } from '../parts/field.js';
import { Panel } from '../parts/panel.js';
import { RangePicker } from '../parts/range.js';
import { Empty } from '../parts/states.js';
import { Table, tableCsv } from '../parts/table.js';
import { causeName, kindName, lasted, SEVERITIES, STATUSES, Subject, summaryOf } from './anomalies/words.js';

const DEFAULTS = { status: 'active', severity: '', kind: '', site: '', q: '', order: 'urgency', range: '30d' };
const SHOWN = ['active', 'resolved', 'all'];

export function Anomalies() {
  const [chosen, choose] = useUrlState(DEFAULTS);
  const { status, order, range } = chosen;
  const { from, to } = useMemo(() => windowOf(range), [range]);
  const past = status === 'active' ? {} : { from, to };
  const query = useQuery('/v1/anomalies', { status: status === 'all' ? null : status, ...past, limit: 1000 }, { all: true });
  const all = useLive(query, status);
  const rows = useMemo(() => all.filter(fits(chosen)), [all, ...Object.values(chosen)]);
  const columns = COLUMNS();
  return html`
    <div class="view anomalies">
      <div class="view-head">
        <h1>${t('nav.anomalies')}</h1>
        <div class="row">
          ${status !== 'active' && html`<${RangePicker} value=${range} presets=${['24h', '7d', '30d']} onChange=${(next) => choose({ range: next })} />`}
          <${Segments} label=${t('anomaly.status')} value=${status} options=${SHOWN.map((each) => [each, t(`anomaly.show.${each}`)])}
            onChange=${(next) => choose({ status: next })} />
        </div>
      </div>
      <${Severities} rows=${all.filter(fits({ ...chosen, severity: '' }))} ready=${query.data !== null} chosen=${chosen.severity} onChoose=${(severity) => choose({ severity })} />
      <${Panel} flush title=${t(`anomaly.list.${status}`)} query=${query} csv=${() => tableCsv('anomalies', columns, rows)}
        detail=${query.data?.more && t('anomaly.more', { count: number(all.length) })} height=${400}>
        ${() => html`
          <${Filters} rows=${all} ...${{ chosen, choose }} />
          <${Table} label=${t('nav.anomalies')} rows=${rows} rowKey=${(row) => row.id} columns=${columns} height="calc(100vh - 22rem)"
            order=${order} onOrder=${(next) => choose({ order: next })} onOpen=${(row) => go(link('/anomalies', row.id))}
            empty=${html`<${Nothing} any=${all.length > 0} status=${status} onClear=${() => choose({ severity: '', kind: '', site: '', q: '' })} />`} />`}
      <//>
    </div>`;
}

/** Return the anomalies of a query, kept up to date by the stream. */
function useLive(query, status) {
  const [told, setTold] = useState(new Map());
  useEffect(() => setTold(new Map()), [query.data]);
  useEffect(() => onAnomaly((event) => {
    if (event === null) query.reload();
    else setTold((before) => new Map(before).set(event.anomaly.id, event.anomaly));
  }), [query.reload]);
  return useMemo(() => {
    const byId = new Map((query.data?.items ?? []).map((each) => [each.id, each]));
    for (const [id, anomaly] of told) byId.set(id, anomaly);
    const belongs = (each) => status === 'all' || (status === 'resolved') === (each.status === 'resolved');
    return [...byId.values()].filter(belongs);
  }, [query.data, told, status]);
}

const fits = ({ severity, kind, site, q }) => (row) =>
  (!severity || row.severity === severity) && (!kind || row.kind === kind) && (!site || row.site === site)
  && (!q || `${row.deviceId} ${row.site ?? ''} ${row.id}`.toLowerCase().includes(q.trim().toLowerCase()));

/** What is most urgent, as a text to sort by: open first, then by severity, then the newest. */
const urgency = (row) =>
  `${STATUSES.indexOf(row.status)}${SEVERITIES.indexOf(row.severity)}${String(1e15 - Date.parse(row.startedAt)).padStart(16, '0')}`;

const COLUMNS = () => [
  { key: 'urgency', label: t('anomaly.severity'), value: (row) => row.severity, sort: urgency, cell: (row) => html`<${SeverityBadge} severity=${row.severity} />` },
  { key: 'kind', label: t('anomaly.kind'), value: (row) => kindName(row.kind), cell: (row) => html`<a class="plain" href=${link('/anomalies', row.id)} title=${summaryOf(row)}>${kindName(row.kind)}</a>${row.cause && row.cause !== 'unknown' && html` <span class="muted cause">${causeName(row.cause)}</span>`}` },
  { key: 'device', label: t('anomaly.device'), value: (row) => row.deviceId, cell: (row) => html`<${Subject} kind=${row.deviceKind} id=${row.deviceId} />` },
  { key: 'site', label: t('anomaly.site'), wide: true, value: (row) => row.site, cell: (row) => row.site ?? '–' },
  { key: 'since', label: t('anomaly.since'), value: (row) => row.startedAt, cell: (row) => html`<span title=${dateTime(row.startedAt)}>${ago(row.startedAt)}</span>` },
  { key: 'lasted', label: t('anomaly.lasted'), number: true, wide: true, value: (row) => Math.round(lasted(row)), cell: (row) => duration(lasted(row)) },
  { key: 'status', label: t('anomaly.status'), wide: true, value: (row) => row.status, sort: (row) => STATUSES.indexOf(row.status), cell: (row) => html`<${StatusBadge} status=${row.status} />` },
  { key: 'ended', label: t('anomaly.ended'), onlyCsv: true, value: (row) => row.endedAt },
  { key: 'summary', label: t('anomaly.summary'), onlyCsv: true, value: summaryOf },
  { key: 'id', label: 'id', onlyCsv: true, value: (row) => row.id },
];

const Severities = ({ rows, ready, chosen, onChoose }) => html`
  <div class="grid tiles" role="group" aria-label=${t('anomaly.severity')}>
    ${SEVERITIES.map((each) => html`
      <button key=${each} type="button" class=${`tile tone-${each}`} aria-pressed=${String(chosen === each)} onClick=${() => onChoose(chosen === each ? '' : each)}>
        <span class="tile-label"><i class="dot"></i>${t(`severity.${each}`)}</span>
        <span class="tile-figure">${ready ? number(rows.filter((row) => row.severity === each).length) : '–'}</span>
      </button>`)}
  </div>`;

function Filters({ rows, chosen, choose }) {
  const options = (all, values, name) => [['', t(all)], ...[...new Set([...values, ...(name ? [name] : [])])].sort().map((each) => [each, all === 'anomaly.allKinds' ? kindName(each) : each])];
  return html`
    <div class="row list-filters">
      <${Search} label=${t('anomaly.search')} value=${chosen.q} onInput=${(q) => choose({ q })} />
      <${Field} label=${t('anomaly.kind')} value=${chosen.kind} onInput=${(kind) => choose({ kind })} options=${options('anomaly.allKinds', rows.map((row) => row.kind), chosen.kind)} />
      <${Field} label=${t('anomaly.site')} value=${chosen.site} onInput=${(site) => choose({ site })} options=${options('anomaly.allSites', rows.map((row) => row.site).filter(Boolean), chosen.site)} />
    </div>`;
}

const Nothing = ({ any, status, onClear }) => (any
  ? html`<${Empty} icon="search" title=${t('anomaly.noMatch')}><button class="button small" onClick=${onClear}>${t('anomaly.clearFilters')}</button><//>`
  : html`<${Empty} icon="check" title=${t(status === 'active' ? 'anomaly.none' : 'anomaly.nonePast')}>${status === 'active' && t('anomaly.noneDetail')}<//>`);
