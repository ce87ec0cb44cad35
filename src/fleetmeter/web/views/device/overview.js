/** What a device did in a window: energy, measurements, efficiency, sessions or shares, anomalies. */
import { html } from '../../lib/html.js';
import { path } from '../../lib/api.js';
import { isCharger } from '../../lib/device_state.js';
import { energy, energyParts, share, shareParts } from '../../lib/formats.js';
import { useQuery } from '../../lib/query.js';
import { gapped } from '../../lib/series.js';
import { t } from '../../lib/texts.js';
import { Chart, chartCsv } from '../../parts/chart.js';
import { Icon } from '../../parts/icon.js';
import { Panel } from '../../parts/panel.js';
import { Empty } from '../../parts/states.js';
import { Tile } from '../../parts/tile.js';
import { DeviceAnomalies } from './anomalies.js';
import { BUCKET_MS, CHART_PX, REFRESH_MS } from './charts.js';
import { Efficiency } from './efficiency.js';
import { Measured } from './measured.js';
import { QualityBadge } from './quality_badge.js';
import { Sessions } from './sessions.js';
import { Shares } from './shares.js';

export function Overview({ kind, id, state, window }) {
  const { from, to } = window;
  const summary = useQuery(
    kind === 'vehicle' ? path`/v1/analytics/performance/${id}` : path`/v1/analytics/meters/${id}`, { from, to }, { refreshMs: REFRESH_MS },
  );
  const series = useQuery(path`/v1/${`${kind}s`}/${id}/energy`, { ...window, limit: 1000 }, { refreshMs: REFRESH_MS });
  const isShared = kind === 'vehicle' || isCharger(state);
  return html`
    ${isShared && html`<${Totals} kind=${kind} summary=${summary.data} />`}
    <div class="grid charts">
      ${isShared ? html`<${EnergyPanel} kind=${kind} id=${id} query=${series} bucket=${window.bucket} />`
      : html`<${MeteredPanel} id=${id} role=${state.settings.role} total=${summary.data} query=${series} bucket=${window.bucket} />`}
      <${Measured} kind=${kind} id=${id} state=${state} window=${window} series=${series} />
      ${isShared && html`<${Efficiency} kind=${kind} id=${id} window=${window} />`}
    </div>
    ${kind === 'vehicle' ? html`<${Sessions} id=${id} window=${window} />` : isShared && html`<${Shares} id=${id} query=${summary} />`}
    <${DeviceAnomalies} kind=${kind} id=${id} window=${window} />`;
}

function Totals({ kind, summary }) {
  const cover = summary?.quality.coverage;
  const ratio = summary?.efficiencyRatio;
  return html`
    <div class="grid tiles">
      <${Tile} label=${t('energy.ac')} tone="ac" parts=${energyParts(summary?.totalEnergyConsumedAc)} detail=${cover && t('device.covered', { share: share(cover.ac, 0) })} />
      <${Tile} label=${t('energy.dc')} tone="dc" parts=${energyParts(cover?.dc ? summary.totalEnergyDeliveredDc : null)} detail=${cover && t('device.covered', { share: share(cover.dc, 0) })} />
      <${Tile} label=${t('energy.loss')} tone="loss" parts=${energyParts(summary?.energyLoss)} />
      ${kind === 'meter' && html`<${Tile} label=${t('energy.unattributed')} tone="unattributed" parts=${energyParts(summary?.totalEnergyUnattributedAc)} />`}
      <${Tile} label=${t('energy.efficiency')} parts=${shareParts(ratio)}
        detail=${ratio > 1 ? html`<span class="impossible">${t('device.impossible')}</span>` : ratio === null ? t('device.notCompared') : null} />
    </div>
    ${summary?.quality.reasons.length > 0 && html`<${Reasons} quality=${summary.quality} />`}`;
}

/** What limits the figures above. */
const Reasons = ({ quality }) => html`
  <div class="row reasons-row muted">
    ${quality.status === 'complete' ? html`<${Icon} name="info" />` : html`<${QualityBadge} status=${quality.status} />`}
    <p class="grow">${quality.reasons.join('; ')}</p>
  </div>`;

function EnergyPanel({ kind, id, query, bucket }) {
  const lines = [
    { label: t('energy.ac'), tone: 'ac', draw: bucket === 'day' ? 'bars' : 'area', of: (each) => each.energyConsumedAc },
    { label: t('energy.dc'), tone: 'dc', of: (each) => each.energyDeliveredDc },
  ];
  if (kind === 'meter') lines.push({ label: t('energy.unattributed'), tone: 'unattributed', dashed: true, of: (each) => each.energyUnattributedAc });
  return html`<${Buckets} title=${t('device.energy')} detail=${t(`device.per.${bucket}`)} ...${{ id, query, bucket, lines }} />`;
}

/** The energy of a meter that no vehicle charges at. */
function MeteredPanel({ id, role, total, query, bucket }) {
  const tone = role === 'solar' ? 'solar' : 'ac';
  const lines = [{ label: t('energy.ac'), tone, draw: bucket === 'day' ? 'bars' : 'area', of: (each) => each.energyConsumedAc }];
  const sum = total && t('device.inAll', { energy: energy(total.totalEnergyConsumedAc), share: share(total.quality.coverage.ac, 0) });
  const detail = [t(`device.per.${bucket}`), sum].filter(Boolean).join(' · ');
  return html`<${Buckets} title=${t('energy.ac')} ...${{ id, query, bucket, lines, detail }} />`;
}

function Buckets({ title, detail, id, query, bucket, lines }) {
  const buckets = gapped(query.data?.items ?? [], (each) => Date.parse(each.from), BUCKET_MS[bucket]);
  const times = buckets.map(({ at }) => at);
  const series = lines.map(({ of, ...line }) => ({ ...line, format: energy, values: buckets.map(({ item }) => (item === null ? null : of(item))) }));
  return html`
    <${Panel} title=${title} detail=${detail} query=${query} height=${CHART_PX} csv=${() => chartCsv(`${id}-energy`, times, series)}>
      ${() => (times.length ? html`<${Chart} label=${title} times=${times} series=${series} height=${CHART_PX} />`
      : html`<${Empty} title=${t('device.nothingReported')} />`)}
    <//>`;
}
