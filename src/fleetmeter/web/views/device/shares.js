/** Where the energy of a meter went: a bar of shares, and the vehicles that got them. */
import { html } from '../../lib/html.js';
import { energy, share } from '../../lib/formats.js';
import { link } from '../../lib/router.js';
import { t } from '../../lib/texts.js';
import { useUrlState } from '../../lib/url_state.js';
import { Dot } from '../../parts/badge.js';
import { Panel } from '../../parts/panel.js';
import { Empty } from '../../parts/states.js';
import { Table, tableCsv } from '../../parts/table.js';

const columns = (total) => [
  { key: 'vehicle', label: t('devices.name.vehicle'), value: (each) => each.vehicleId, cell: (each) => html`<a href=${link('/vehicles', each.vehicleId)}>${each.vehicleId}</a>` },
  { key: 'ac', label: t('energy.ac'), number: true, value: (each) => each.energyConsumedAc, cell: (each) => energy(each.energyConsumedAc) },
  {
    key: 'share', label: t('shares.share'), number: true, wide: true, value: (each) => (total && each.energyConsumedAc !== null ? each.energyConsumedAc / total : null),
    cell: (each) => share(total && each.energyConsumedAc !== null ? each.energyConsumedAc / total : null),
  },
  { key: 'dc', label: t('energy.dc'), number: true, value: (each) => each.energyDeliveredDc, cell: (each) => energy(each.energyDeliveredDc) },
  { key: 'loss', label: t('energy.loss'), number: true, wide: true, value: (each) => each.energyLoss, cell: (each) => energy(each.energyLoss) },
  {
    key: 'efficiency', label: t('energy.efficiency'), number: true, value: (each) => each.efficiencyRatio,
    cell: (each) => html`<span title=${each.reasons.join('; ')}>${share(each.efficiencyRatio)}</span>`,
  },
];

export function Shares({ id, query }) {
  const [{ shares: order }, choose] = useUrlState({ shares: '-ac' });
  const total = query.data?.totalEnergyConsumedAc;
  const rows = query.data?.vehicles.items ?? [];
  const shown = columns(total);
  return html`
    <${Panel} flush title=${t('shares.title')} detail=${t('shares.detail')} query=${query} csv=${() => tableCsv(`${id}-vehicles`, shown, rows)}>
      ${(data) => html`
        ${total > 0 && html`<${Whole} balance=${data} />`}
        <${Table} label=${t('shares.title')} rows=${rows} rowKey=${(each) => each.vehicleId} columns=${shown} order=${order} height="22rem"
          onOrder=${(next) => choose({ shares: next })} empty=${html`<${Empty} icon="vehicle" title=${t('shares.none')} />`} />
        ${data.vehicles.nextCursor && html`<p class="table-foot">${t('shares.more')}</p>`}`}
    <//>`;
}

const ADDS_UP_WITHIN = 0.005;

/** Return the parts of a meter's energy; DC and loss are shown where both were measured all the time, and so add up. */
function partsOf({ totalEnergyConsumedAc: ac, totalEnergyUnattributedAc: rest, totalEnergyDeliveredDc: dc, energyLoss: loss }) {
  const unattributed = ['unattributed', t('energy.unattributed'), rest];
  const addsUp = loss !== null && loss >= 0 && Math.abs(dc + loss + rest - ac) <= ADDS_UP_WITHIN * ac;
  const parts = addsUp ? [['dc', t('energy.dc'), dc], ['loss', t('energy.loss'), loss], unattributed] : [['ac', t('shares.attributed'), ac - rest], unattributed];
  return parts.filter(([, , kwh]) => kwh > 0);
}

/** The whole of a meter's energy as a bar. */
function Whole({ balance }) {
  const ac = balance.totalEnergyConsumedAc;
  const parts = partsOf(balance);
  return html`
    <div class="whole">
      <div class="whole-bar" aria-hidden="true">
        ${parts.map(([tone, , kwh]) => html`<i key=${tone} class=${`tone-${tone}`} style=${{ flexGrow: kwh / ac }}></i>`)}
      </div>
      <ul class="row small">
        ${parts.map(([tone, text, kwh]) => html`<li key=${tone} class="row"><${Dot} tone=${tone} />${text} <b>${energy(kwh)}</b> <span class="muted">${share(kwh / ac)}</span></li>`)}
      </ul>
    </div>`;
}
