/** What stands beside the energy: which devices report, what is wrong, and what has just come in. */
import { html, useEffect, useState } from '../lib/html.js';
import { ago, clock, energy, measure, number, percent, power } from '../lib/formats.js';
import { useQuery } from '../lib/query.js';
import { link } from '../lib/router.js';
import { connection, onAnomaly, onStates, states } from '../lib/stream.js';
import { useStore } from '../lib/store.js';
import { t } from '../lib/texts.js';
import { SeverityBadge } from '../parts/badge.js';
import { Panel } from '../parts/panel.js';
import { Empty } from '../parts/states.js';
import { Summary, summaryOf } from './anomalies/words.js';

const NEWEST = 5;
const JUST_IN = 6;
const JUST_IN_MS = 1000;
const ANOMALY_WAIT_MS = 1000;

/** What a state may have of both kinds, as the API names it. */
const MEASURED = ['soc', 'batteryTemp', 'kwhDeliveredDc', 'kwhConsumedAc', 'voltage', 'powerKw'];

/** How recent a device's newest reading is, with the colour of each. */
const RECENCY = [['reporting', 'ok'], ['resting', 'info'], ['late', 'warning'], ['silent', 'critical']];

export function DevicesPanel({ query }) {
  const csv = () => ({
    name: 'devices-now', columns: ['kind', 'known', ...RECENCY.map(([name]) => name)],
    rows: ['vehicles', 'meters'].map((kind) => [kind, query.data[kind].known, ...RECENCY.map(([name]) => query.data[kind][name])]),
  });
  return html`
    <${Panel} title=${t('now.devices')} query=${query} csv=${csv} height=${180}>
      ${(now) => html`
        <div class="stack">
          <${Recency} label=${t('nav.vehicles')} href=${link('/vehicles')} counts=${now.vehicles} />
          <${Recency} label=${t('nav.meters')} href=${link('/meters')} counts=${now.meters} />
          <p class="now-rate"><span class="muted">${t('now.rate')}</span><b>${number(now.readingsPerS, now.readingsPerS < 10 ? 2 : 0)}</b></p>
        </div>`}
    <//>`;
}

const Recency = ({ label, href, counts }) => html`
  <div class="recency">
    <div class="row spread"><a href=${href}>${label}</a><b>${number(counts.known)}</b></div>
    <div class="recency-bar" aria-hidden="true">
      ${RECENCY.map(([name, tone]) => counts[name] > 0 && html`<i key=${name} class=${`tone-${tone}`} style=${{ flexGrow: counts[name] }}></i>`)}
    </div>
    <ul class="row small">
      ${RECENCY.map(([name, tone]) => (counts[name] > 0 || name === 'reporting') && html`
        <li key=${name} title=${t(`now.${name}Detail`)}><i class=${`dot tone-${tone}`}></i>${t(`now.${name}`)} <b>${number(counts[name])}</b></li>`)}
    </ul>
  </div>`;

export function OpenAnomalies() {
  const query = useQuery('/v1/anomalies', { status: 'open', limit: NEWEST });
  useEffect(() => {
    let timer = null;
    const end = onAnomaly(() => { timer ??= setTimeout(() => { timer = null; query.reload(); }, ANOMALY_WAIT_MS); });
    return () => {
      clearTimeout(timer);
      end();
    };
  }, [query.reload]);
  const csv = () => ({
    name: 'open-anomalies', columns: ['id', 'kind', 'severity', 'device', 'site', 'startedAt', 'summary'],
    rows: query.data.items.map((each) => [each.id, each.kind, each.severity, each.deviceId, each.site, each.startedAt, summaryOf(each)]),
  });
  return html`
    <${Panel} flush title=${t('now.anomalies')} query=${query} csv=${csv} height=${220}>
      ${({ items }) => (items.length ? html`
        <ul class="now-list">
          ${items.map((each) => html`
            <li key=${each.id}><a href=${link('/anomalies', each.id)}>
              <span class="row spread"><${SeverityBadge} severity=${each.severity} /><span class="muted small">${ago(each.startedAt)}</span></span>
              <${Summary} anomaly=${each} />
            </a></li>`)}
          <li><a class="now-all" href=${link('/anomalies')}>${t('now.allAnomalies')}</a></li>
        </ul>` : html`<${Empty} icon="check" title=${t('now.noAnomalies')} />`)}
    <//>`;
}

/** The devices that reported last, as the stream tells: a sample where many do. */
export function JustIn() {
  const { state } = useStore(connection);
  const [recent, setRecent] = useState([]);
  useEffect(() => {
    const told = (kind) => (ids) => setRecent((before) => newest(before, kind, ids));
    const ends = ['vehicle', 'meter'].map((kind) => onStates(kind, told(kind), JUST_IN_MS));
    return () => ends.forEach((end) => end());
  }, []);
  const csv = () => ({
    name: 'just-in', columns: ['timestamp', 'kind', 'device', ...MEASURED],
    rows: recent.map(({ kind, id, state: one }) => [one.timestamp, kind, id, ...MEASURED.map((name) => one[name])]),
  });
  return html`
    <${Panel} flush title=${t('now.justIn')} request="/v1/stream?only=states" csv=${recent.length ? csv : undefined}>
      ${recent.length ? html`<ul class="now-list">${recent.map((each) => html`<${Reading} key=${`${each.kind} ${each.id}`} ...${each} />`)}</ul>`
      : html`<${Empty} icon="bolt" title=${t(state === 'live' ? 'now.waiting' : `connection.${state}`)} />`}
    <//>`;
}

function newest(before, kind, ids) {
  const changed = [...ids].slice(-JUST_IN).map((id) => ({ kind, id, state: { ...states[kind].get(id) } }));
  const kept = before.filter((each) => each.kind !== kind || !ids.has(each.id));
  return [...changed, ...kept].sort((one, other) => other.state.timestamp.localeCompare(one.state.timestamp)).slice(0, JUST_IN);
}

const Reading = ({ kind, id, state }) => html`
  <li><a class="row spread" href=${link(`/${kind}s`, id)}>
    <span class="grow">${id}</span>
    <span class="muted">${figures(kind, state).join(' · ')}</span>
    <time class="small muted" datetime=${state.timestamp}>${clock(state.timestamp)}</time>
  </a></li>`;

/** Return the two most telling figures that a state has. */
function figures(kind, state) {
  const known = (value, shown) => (value === null || value === undefined ? [] : [shown(value)]);
  const found = kind === 'vehicle'
    ? [...known(state.soc, percent), ...known(state.kwhDeliveredDc, energy), ...known(state.batteryTemp, (value) => measure(value, '°C'))]
    : [...known(state.powerKw, power), ...known(state.kwhConsumedAc, energy), ...known(state.voltage, (value) => measure(value, 'V'))];
  return found.slice(0, 2);
}
