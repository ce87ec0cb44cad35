/** The fleet at this moment, and over the last day and month. */
import { html } from '../lib/html.js';
import { energy, energyParts, shareParts } from '../lib/formats.js';
import { useQuery } from '../lib/query.js';
import { t } from '../lib/texts.js';
import { windowOf } from '../lib/time.js';
import { useUrlState } from '../lib/url_state.js';
import { Chart, chartCsv } from '../parts/chart.js';
import { Panel } from '../parts/panel.js';
import { RangePicker } from '../parts/range.js';
import { Tile } from '../parts/tile.js';

const MINUTE_MS = 60_000;

export function Now() {
  const [{ range }, choose] = useUrlState({ range: '24h' });
  const window = windowOf(range);
  const fleet = useQuery('/v1/analytics/fleet', { from: window.from, to: window.to, limit: 1 }, { refreshMs: MINUTE_MS });
  return html`
    <div class="view">
      <div class="view-head">
        <h1>${t('nav.now')}</h1>
        <${RangePicker} value=${range} onChange=${(next) => choose({ range: next })} />
      </div>
      <${Figures} fleet=${fleet.data} />
      <${EnergyPanel} window=${window} />
    </div>`;
}

const Figures = ({ fleet }) => html`
  <div class="grid tiles">
    <${Tile} label=${t('energy.ac')} tone="ac" parts=${energyParts(fleet?.totalEnergyConsumedAc)} />
    <${Tile} label=${t('energy.dc')} tone="dc" parts=${energyParts(fleet?.totalEnergyDeliveredDc)} />
    <${Tile} label=${t('energy.loss')} tone="loss" parts=${energyParts(fleet?.energyLoss)} />
    <${Tile} label=${t('energy.efficiency')} parts=${shareParts(fleet?.efficiencyRatio)} />
  </div>`;

function EnergyPanel({ window }) {
  const query = useQuery('/v1/analytics/fleet/energy', window, { refreshMs: MINUTE_MS });
  const buckets = query.data?.items ?? [];
  const times = buckets.map((each) => each.from);
  const series = [
    { label: t('energy.ac'), tone: 'ac', draw: 'area', format: energy, values: buckets.map((each) => each.energyConsumedAc) },
    { label: t('energy.dc'), tone: 'dc', format: energy, values: buckets.map((each) => each.energyDeliveredDc) },
  ];
  return html`
    <${Panel} title=${t('energy.ac')} query=${query} height=${280} csv=${() => chartCsv('fleet-energy', times, series)}>
      ${() => html`<${Chart} label=${t('energy.ac')} times=${times} series=${series} height=${280} />`}
    <//>`;
}
