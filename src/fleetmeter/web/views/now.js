/** The fleet at this moment, and over the last day and month; or how to begin, where there is nothing yet. */
import { html, useEffect, useRef } from '../lib/html.js';
import { energy, energyParts, share, shareParts } from '../lib/formats.js';
import { useQuery } from '../lib/query.js';
import { session } from '../lib/session.js';
import { onStates } from '../lib/stream.js';
import { t } from '../lib/texts.js';
import { HOUR, rfc3339, windowOf } from '../lib/time.js';
import { useUrlState } from '../lib/url_state.js';
import { Chart, chartCsv } from '../parts/chart.js';
import { Segments } from '../parts/field.js';
import { Panel } from '../parts/panel.js';
import { RangePicker } from '../parts/range.js';
import { Sankey } from '../parts/sankey.js';
import { Empty, Loading } from '../parts/states.js';
import { Tile } from '../parts/tile.js';
import { FirstVisit } from './first_visit.js';
import { flowOf } from './now_flow.js';
import { DevicesPanel, JustIn, OpenAnomalies } from './now_side.js';

const DEVICES_MS = 10_000;
/** Windows end with the running minute, and are asked for again in the next one: what open pages are answered about one
 * is computed once. */
const SHARED = { maxAgeS: 60 };
/** Where the first reading has just come in, what others were answered is empty. */
const OWN = { maxAgeS: 0 };

export function Now() {
  const devices = useQuery('/v1/analytics/now', {}, { refreshMs: DEVICES_MS, maxAgeS: DEVICES_MS / 1000 });
  const isEmpty = devices.data !== null && devices.data.vehicles.known + devices.data.meters.known === 0;
  useEffect(() => {
    if (!isEmpty) return undefined;
    const ends = ['vehicle', 'meter'].map((kind) => onStates(kind, devices.reload));
    return () => ends.forEach((end) => end());
  }, [isEmpty, devices.reload]);
  const wasEmpty = useRef(false);
  wasEmpty.current ||= isEmpty;
  if (!isEmpty) return html`<${Fleet} devices=${devices} asking=${wasEmpty.current ? OWN : SHARED} />`;
  const { who } = session.get();
  return who.devices || who.sites ? html`<${Empty}>${t('now.nothingWithinReach')}<//>` : html`<${FirstVisit} onStored=${devices.reload} />`;
}

function Fleet({ devices, asking }) {
  const [{ range }, choose] = useUrlState({ range: '24h' });
  const { from, to } = windowOf(range);
  const fleet = useQuery('/v1/analytics/fleet', { from, to, limit: 1 }, asking);
  return html`
    <div class="view now">
      <div class="view-head">
        <h1>${t('nav.now')}</h1>
        <${RangePicker} value=${range} onChange=${(next) => choose({ range: next })} />
      </div>
      <${Figures} fleet=${fleet.data} loading=${fleet.loading && !fleet.data} />
      <div class="now-columns">
        <div class="stack">
          <${Flow} ...${{ fleet, from, to, asking }} />
          <${Hourly} asking=${asking} />
        </div>
        <div class="stack">
          <${DevicesPanel} query=${devices} />
          <${OpenAnomalies} />
          <${JustIn} />
        </div>
      </div>
    </div>`;
}

function Figures({ fleet, loading }) {
  const of = (value) => (fleet?.totalEnergyConsumedAc > 0 && value !== null ? t('now.ofAc', { share: share(value / fleet.totalEnergyConsumedAc) }) : undefined);
  const covered = (value) => fleet && t('now.covered', { share: share(value, 0) });
  return html`
    <div class="grid tiles">
      <${Tile} loading=${loading} label=${t('energy.ac')} tone="ac" parts=${energyParts(fleet?.totalEnergyConsumedAc)} detail=${covered(fleet?.quality.coverage.ac)} />
      <${Tile} loading=${loading} label=${t('energy.dc')} tone="dc" parts=${energyParts(fleet?.totalEnergyDeliveredDc)} detail=${covered(fleet?.quality.coverage.dc)} />
      <${Tile} loading=${loading} label=${t('energy.loss')} tone="loss" parts=${energyParts(fleet?.energyLoss)} detail=${fleet && of(fleet.energyLoss)} />
      <${Tile} loading=${loading} label=${t('energy.efficiency')} parts=${shareParts(fleet?.efficiencyRatio)}
        detail=${fleet && (fleet.efficiencyRatio === null ? t('now.notCompared') : t('now.compared', { share: share(fleet.quality.coverage.compared, 0) }))} />
    </div>`;
}

function Flow({ fleet, from, to, asking }) {
  const supply = useQuery('/v1/analytics/supply', { from, to, limit: 1000 }, asking);
  const metered = supply.data?.items ?? [];
  const sites = useQuery(metered.length ? '/v1/analytics/sites' : null, { from, to, limit: 1000 }, asking);
  const answered = ({ data, error }) => data !== null || error !== null;
  const whole = answered(supply) && (metered.length === 0 || answered(sites));
  const flow = fleet.data && flowOf(fleet.data, sites.data ? metered : [], sites.data?.items ?? []);
  const csv = () => ({
    name: 'energy-flow', columns: ['from', 'to', 'kWh'], rows: flow.links.map((each) => [each.from, each.to, each.value]),
  });
  return html`
    <${Panel} title=${t('now.flow')} query=${fleet} csv=${csv} height=${320}>
      ${() => html`
        ${!whole ? html`<${Loading} height=${320} />` : flow.links.length ? html`<${Sankey} label=${t('now.flow')} ...${flow} />` : html`<${Empty} title=${t('now.flowEmpty')} />`}
        <${Missing} quality=${fleet.data.quality} shared=${flow.links.some((each) => each.from === 'solar')} />`}
    <//>`;
}

/** What the figures leave out, and why. The sentences are the service's own. */
const Missing = ({ quality, shared }) => html`
  <div class="now-quality">
    ${shared && html`<p class="muted small">${t('now.flow.shared')}</p>`}
    ${quality.reasons.length > 0 && html`
      <details>
        <summary>${t('now.reasons', { count: quality.reasons.length })}</summary>
        <ul lang="en">${quality.reasons.map((each) => html`<li key=${each}>${each}</li>`)}</ul>
      </details>`}
  </div>`;

function Hourly({ asking }) {
  const [{ hours }, choose] = useUrlState({ hours: '24h' });
  const { from: begins, to } = windowOf(hours);
  const from = rfc3339(Math.floor(new Date(begins) / HOUR) * HOUR); // whole hours, which the service has added up already
  const query = useQuery('/v1/analytics/fleet/energy', { from, to, bucket: 'hour', limit: 1000 }, asking);
  const buckets = query.data?.items ?? [];
  const times = buckets.map((each) => each.from);
  const series = [
    { label: t('energy.ac'), tone: 'ac', draw: 'area', format: energy, values: buckets.map((each) => each.energyConsumedAc) },
    { label: t('energy.dc'), tone: 'dc', draw: 'area', format: energy, values: buckets.map((each) => each.energyDeliveredDc) },
    { label: t('energy.efficiency'), tone: 'accent', dashed: true, scale: 'share', format: (value) => share(value, 0), values: buckets.map((each) => each.efficiencyRatio) },
  ];
  const picker = html`
    <${Segments} label=${t('range.label')} value=${hours} onChange=${(next) => choose({ hours: next })}
      options=${['24h', '30d'].map((each) => [each, t(`range.${each}`)])} />`;
  return html`
    <${Panel} title=${t('now.hourly')} query=${query} height=${280} actions=${picker} csv=${() => chartCsv('fleet-energy', times, series)}>
      ${() => html`<${Chart} label=${t('now.hourly')} times=${times} series=${series} height=${260} ranges=${{ share: [0, 1] }} />`}
    <//>`;
}
