/** Efficiency against the power at which it was reached: chargers lose most at low power. */
import { html, useMemo } from '../../lib/html.js';
import { path } from '../../lib/api.js';
import { dateTime, number, power, share } from '../../lib/formats.js';
import { useQuery } from '../../lib/query.js';
import { meanPower } from '../../lib/series.js';
import { t } from '../../lib/texts.js';
import { DAY } from '../../lib/time.js';
import { Panel } from '../../parts/panel.js';
import { Scatter } from '../../parts/scatter.js';
import { Empty } from '../../parts/states.js';
import { CHART_PX, REFRESH_MS } from './charts.js';

const LEAST_KW = 0.1;
const MOST_HOURLY = 40 * DAY;

/** Return the shortest bucket whose series fits a page of the API. */
function bucketOf({ from, to, bucket, tz }) {
  if (bucket !== 'day') return { bucket };
  return Date.parse(to) - Date.parse(from) <= MOST_HOURLY ? { bucket: 'hour' } : { bucket, tz };
}

export function Efficiency({ kind, id, window }) {
  const { from, to } = window;
  const bucket = bucketOf(window);
  const query = useQuery(path`/v1/${`${kind}s`}/${id}/energy`, { from, to, ...bucket, limit: 1000 }, { refreshMs: REFRESH_MS });
  const points = useMemo(() => (query.data?.items ?? [])
    .map((each) => ({ from: each.from, x: meanPower(each.energyConsumedAc, each), y: each.efficiencyRatio }))
    .filter((each) => each.y !== null && each.x >= LEAST_KW)
    .map((each) => ({ ...each, title: `${dateTime(each.from)}: ${power(each.x)}, ${share(each.y)}` })), [query.data]);
  const csv = () => ({ name: `${id}-efficiency`, columns: ['from', 'powerKw', 'efficiency'], rows: points.map((each) => [each.from, each.x, each.y]) });
  return html`
    <${Panel} title=${t('device.efficiency')} detail=${t(`device.each.${bucket.bucket}`)} query=${query} height=${CHART_PX} csv=${csv}>
      ${() => (points.length ? html`<${Scatter} label=${t('device.efficiency')} tone="dc" height=${CHART_PX + 52} points=${points}
        x=${{ label: t('device.meanAcPower'), format: (value, digits) => `${number(value, digits)}\u00a0kW` }}
        y=${{ label: t('energy.efficiency'), format: (value, digits) => share(value, Math.max(0, digits - 2)) }} />`
      : html`<${Empty} title=${t('device.notCompared')}>${t('device.notComparedDetail')}<//>`)}
    <//>`;
}
