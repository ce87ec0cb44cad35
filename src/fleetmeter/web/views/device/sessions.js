/** The charging sessions of a vehicle in a window. */
import { html } from '../../lib/html.js';
import { path } from '../../lib/api.js';
import { dateTime, duration, energy, percent, power, share } from '../../lib/formats.js';
import { useQuery } from '../../lib/query.js';
import { link } from '../../lib/router.js';
import { t } from '../../lib/texts.js';
import { useUrlState } from '../../lib/url_state.js';
import { Badge } from '../../parts/badge.js';
import { Panel } from '../../parts/panel.js';
import { Empty } from '../../parts/states.js';
import { Table, tableCsv } from '../../parts/table.js';
import { REFRESH_MS } from './charts.js';

const lasted = (each) => (Date.parse(each.to) - Date.parse(each.from)) / 1000;

const columns = () => [
  { key: 'from', label: t('session.from'), value: (each) => each.from, cell: (each) => dateTime(each.from) },
  {
    key: 'duration', label: t('session.duration'), number: true, value: lasted,
    cell: (each) => (each.open ? html`<${Badge} tone="dc">${t('session.open')}<//> ${duration(lasted(each))}` : duration(lasted(each))),
  },
  { key: 'to', label: t('session.to'), value: (each) => each.to, onlyCsv: true },
  {
    key: 'meter', label: t('devices.meter'), wide: true, value: (each) => each.meterId,
    cell: (each) => (each.meterId ? html`<a href=${link('/meters', each.meterId)}>${each.meterId}</a>` : html`<span class="muted">${t('device.noMeter')}</span>`),
  },
  { key: 'dc', label: t('energy.dc'), number: true, value: (each) => each.energyDeliveredDc, cell: (each) => energy(each.energyDeliveredDc) },
  { key: 'ac', label: t('energy.ac'), number: true, value: (each) => each.energyConsumedAc, cell: (each) => energy(each.energyConsumedAc) },
  {
    key: 'efficiency', label: t('energy.efficiency'), number: true, value: (each) => each.efficiencyRatio,
    cell: (each) => html`<span title=${each.quality.reasons.join('; ')}>${share(each.efficiencyRatio)}</span>`,
  },
  {
    key: 'soc', label: t('measurement.soc'), number: true, wide: true, value: (each) => each.socTo,
    cell: (each) => `${percent(each.socFrom)} → ${percent(each.socTo)}`,
  },
  { key: 'mean', label: t('session.meanPower'), number: true, wide: true, value: (each) => each.meanPower, cell: (each) => power(each.meanPower) },
  { key: 'peak', label: t('session.peakPower'), number: true, wide: true, value: (each) => each.peakPower, cell: (each) => power(each.peakPower) },
];

export function Sessions({ id, window }) {
  const { from, to } = window;
  const [{ sessions: order }, choose] = useUrlState({ sessions: '-from' });
  const query = useQuery(path`/v1/vehicles/${id}/sessions`, { from, to, limit: 1000 }, { refreshMs: REFRESH_MS });
  const shown = columns();
  const rows = query.data?.items ?? [];
  return html`
    <${Panel} flush title=${t('session.title')} query=${query} csv=${() => tableCsv(`${id}-sessions`, shown, rows)}>
      ${() => html`<${Table} label=${t('session.title')} rows=${rows} rowKey=${(each) => each.from} columns=${shown} order=${order}
        onOrder=${(next) => choose({ sessions: next })} height="22rem" empty=${html`<${Empty} icon="bolt" title=${t('session.none')}>${t('session.noneDetail')}<//>`} />`}
    <//>`;
}
