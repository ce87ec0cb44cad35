/** All vehicles or all meters: search, filter, sort; live. */
import { html, useMemo } from '../lib/html.js';
import { nameOf, stateOf, useUsualInterval } from '../lib/device_state.js';
import { useActiveAnomalies } from '../lib/active_anomalies.js';
import { useFleet } from '../lib/fleet.js';
import { number } from '../lib/formats.js';
import { go, link } from '../lib/router.js';
import { t, useLanguage } from '../lib/texts.js';
import { useTicks } from '../lib/ticks.js';
import { useUrlState } from '../lib/url_state.js';
import { Search, Segments, Select } from '../parts/field.js';
import { Panel } from '../parts/panel.js';
import { Empty, Failed, Loading } from '../parts/states.js';
import { Table, tableCsv } from '../parts/table.js';
import { columnsOf } from './device/columns.js';

const AGES_EVERY_MS = 10_000;
const STATES = ['charging', 'reporting', 'late', 'silent', 'anomalies'];
const DEFAULTS = { q: '', site: '', state: '', order: 'name' };

export function Devices({ kind }) {
  const [chosen, choose] = useUrlState(DEFAULTS);
  const fleet = useFleet(kind);
  const anomalies = useActiveAnomalies();
  useTicks(AGES_EVERY_MS);
  useUsualInterval();
  const spoken = useLanguage();
  const columns = useMemo(() => columnsOf(kind, anomalies), [kind, anomalies, spoken]);
  const now = Date.now();

  const all = [...fleet.states.values()].map((state) => ({
    id: state[`${kind}Id`], state, doing: stateOf(kind, state, now), anomalies: anomalies.of(kind, state[`${kind}Id`]),
  }));
  const found = all.filter(finder(kind, chosen));
  const rows = chosen.state ? found.filter((row) => isIn(chosen.state, row)) : found;
  const plural = `${kind}s`;
  const ready = fleet.done || all.length > 0;

  return html`
    <div class="view devices">
      <div class="view-head"><h1>${t(`nav.${plural}`)}</h1></div>
      <div class="devices-filters">
        <${Search} label=${t(`devices.search.${kind}`)} value=${chosen.q} onInput=${(q) => choose({ q })} />
        <${Sites} rows=${all} value=${chosen.site} onChange=${(site) => choose({ site })} />
        <${Segments} label=${t('devices.state')} value=${chosen.state} onChange=${(state) => choose({ state })} options=${counted(kind, found)} />
      </div>
      <${Panel} flush title=${t('devices.found', { count: rows.length, shown: number(rows.length), of: number(all.length) })}
        detail=${progress(fleet, all)} request=${fleet.request} csv=${ready && (() => tableCsv(plural, columns, rows))}>
        ${fleet.error && !ready ? html`<${Failed} error=${fleet.error} retry=${fleet.reload} />`
        : !ready ? html`<${Loading} height=${420} />`
        : html`<${Table} label=${t(`nav.${plural}`)} rows=${rows} rowKey=${(row) => row.id} columns=${columns} order=${chosen.order}
            onOrder=${(order) => choose({ order })} onOpen=${(row) => go(link(`/${plural}`, row.id))} foot=${false}
            empty=${all.length ? html`<${NoneFits} onClear=${() => choose(DEFAULTS)} />`
            : html`<${Empty} icon=${kind} title=${t(`devices.none.${kind}`)}>${t('devices.noneDetail')}<//>`} />`}
      <//>
    </div>`;
}

/** Return what is loaded so far, or null once all is. */
function progress({ done, more, error }, all) {
  if (error && all.length) return t('devices.incomplete', { shown: number(all.length) });
  if (!done) return all.length ? t('devices.loading', { shown: number(all.length) }) : null;
  return more ? t('devices.more', { shown: number(all.length) }) : null;
}

function finder(kind, { q, site }) {
  const words = q.toLowerCase().split(/\s+/).filter(Boolean);
  return ({ id, state }) => {
    if (site && state.settings?.site !== site) return false;
    if (!words.length) return true;
    const text = `${id} ${nameOf(kind, state)} ${state.settings?.site ?? ''}`.toLowerCase();
    return words.every((word) => text.includes(word));
  };
}

const isIn = (state, row) => (state === 'anomalies' ? row.anomalies.length > 0
  : state === 'reporting' ? row.doing === 'reporting' || row.doing === 'charging' : row.doing === state);

/** Return the choices of state, each with how many there are. */
const counted = (kind, rows) => [
  ['', t('devices.all')],
  ...STATES.map((state) => [state, html`${state === 'anomalies' ? t('devices.withAnomalies') : t(`doing.${kind}.${state}`)}${' '}<span class="how-many">${number(rows.reduce((count, row) => count + isIn(state, row), 0))}</span>`]),
];

function Sites({ rows, value, onChange }) {
  const sites = [...new Set(rows.map((row) => row.state.settings?.site).filter(Boolean))].sort((a, b) => a.localeCompare(b));
  if (value && !sites.includes(value)) sites.push(value);
  if (!sites.length) return null;
  return html`<${Select} label=${t('devices.site')} value=${value} onChange=${onChange}
    options=${[['', t('devices.allSites')], ...sites.map((site) => [site, site])]} />`;
}

const NoneFits = ({ onClear }) => html`
  <${Empty} icon="search" title=${t('devices.noneFits')}>
    <button class="button" onClick=${onClear}>${t('devices.clear')}</button>
  <//>`;
