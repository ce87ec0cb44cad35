/** One vehicle or meter: its newest values, and what it did in a window of time. */
import { html, useEffect, useState } from '../lib/html.js';
import { useActiveAnomalies } from '../lib/active_anomalies.js';
import { nameOf, stateOf, useUsualInterval } from '../lib/device_state.js';
import { path } from '../lib/api.js';
import { ago, exactTime } from '../lib/formats.js';
import { useQuery } from '../lib/query.js';
import { link } from '../lib/router.js';
import { putStates, useDevice } from '../lib/stream.js';
import { t } from '../lib/texts.js';
import { useTicks } from '../lib/ticks.js';
import { windowOf } from '../lib/time.js';
import { useUrlState } from '../lib/url_state.js';
import { Segments } from '../parts/field.js';
import { Icon } from '../parts/icon.js';
import { RangePicker } from '../parts/range.js';
import { Empty, Failed, Loading } from '../parts/states.js';
import { Actions } from './device/actions.js';
import { Doing, role } from './device/columns.js';
import { Measurements } from './device/measurements.js';
import { Newest } from './device/newest.js';
import { Overview } from './device/overview.js';
import { Setup } from './device/setup.js';

const TABS = { overview: Overview, readings: Measurements, setup: Setup };
const AGES_EVERY_MS = 5000;

export function Device({ kind, id }) {
  const [{ tab, range }, choose] = useUrlState({ tab: 'overview', range: '24h' });
  const query = useQuery(path`/v1/${`${kind}s`}/${id}`);
  const live = useDevice(kind, id);
  const [changes, setChanges] = useState(0);
  useEffect(() => { if (query.data) putStates(kind, [query.data]); }, [query.data]);
  useTicks(AGES_EVERY_MS);
  useUsualInterval();
  const state = live ?? query.data;

  if (!state && query.error) return html`<${Missing} kind=${kind} id=${id} query=${query} />`;
  if (!state) return html`<${Loading} height=${480} />`;
  const Tab = TABS[tab] ?? Overview;
  const device = { kind, id, state, query, changes, window: windowOf(range) };
  const changed = () => {
    setChanges(changes + 1);
    query.reload();
  };
  return html`
    <div class="view device">
      <${Head} ...${device} changed=${changed} />
      <${Newest} ...${device} />
      <div class="view-head">
        <${Segments} label=${t('device.tabs')} value=${tab in TABS ? tab : 'overview'} onChange=${(next) => choose({ tab: next })}
          options=${Object.keys(TABS).map((name) => [name, t(`device.tab.${name}`)])} />
        ${tab !== 'setup' && html`<div><${RangePicker} value=${range} onChange=${(next) => choose({ range: next })} /></div>`}
      </div>
      <${Tab} ...${device} />
    </div>`;
}

function Head({ kind, id, state, changed }) {
  const anomalies = useActiveAnomalies().of(kind, id);
  const { label, site } = state.settings ?? {};
  const facts = [label && html`<span class="mono">${id}</span>`, kind === 'meter' && role(state.settings?.role), site,
    html`<span title=${exactTime(state.timestamp)}>${t('device.reported', { ago: ago(state.timestamp) })}</span>`].filter(Boolean);
  return html`
    <div class="device-head">
      <a class="back" href=${link(`/${kind}s`)}><${Icon} name="back" />${t(`nav.${kind}s`)}</a>
      <div class="view-head">
        <div class="device-title">
          <h1>${nameOf(kind, state)}</h1>
          <${Doing} kind=${kind} doing=${stateOf(kind, state)} />
          ${anomalies.length > 0 && html`<a class="badge tone-critical" href=${link('/anomalies', anomalies[0].id)}>
            <${Icon} name="anomaly" />${t('device.anomalies', { count: anomalies.length })}</a>`}
        </div>
        <${Actions} kind=${kind} id=${id} state=${state} changed=${changed} />
      </div>
      <p class="facts muted">${facts.map((fact) => html`<span>${fact}</span>`)}</p>
    </div>`;
}

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;

const Missing = ({ kind, id, query }) => (query.error.status === 404
  ? html`<${Empty} icon=${kind} title=${t(`device.unknown.${kind}`, { id })}>${sentence(query.error.message)}${' '}<a href=${link(`/${kind}s`)}>${t(`device.all.${kind}`)}</a><//>`
  : html`<${Failed} error=${query.error} retry=${query.reload} />`);
