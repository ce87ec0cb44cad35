/** How a device is set up: its settings, where it charges, and exchanges of a meter. */
import { html, useEffect } from '../../lib/html.js';
import { path } from '../../lib/api.js';
import { dateTime, number } from '../../lib/formats.js';
import { useQuery } from '../../lib/query.js';
import { link } from '../../lib/router.js';
import { t } from '../../lib/texts.js';
import { Badge } from '../../parts/badge.js';
import { Panel } from '../../parts/panel.js';
import { Empty } from '../../parts/states.js';
import { Table, tableCsv } from '../../parts/table.js';
import { Exchanges } from './exchanges.js';
import { SETTINGS } from './setting_fields.js';

export const Setup = (device) => html`
  <div class="grid">
    <${Settings} ...${device} />
    ${device.kind === 'vehicle' ? html`<${Assignments} ...${device} />` : html`<${Exchanges} ...${device} />`}
  </div>`;

function Settings({ kind, id, state, query }) {
  const settings = state.settings ?? {};
  const csv = () => ({ name: `${id}-settings`, columns: ['setting', 'value'], rows: SETTINGS[kind].map(({ name }) => [name, settings[name]]) });
  return html`
    <${Panel} title=${t('device.settings')} request=${query.request} csv=${csv}>
      <dl class="facts-list">
        ${SETTINGS[kind].map((each) => html`<div key=${each.name}><dt>${t(`setting.${each.name}`)}</dt><dd>${shown(each, settings[each.name])}</dd></div>`)}
      </dl>
    <//>`;
}

function shown({ name, choices, text, number: isNumber, unit }, value) {
  if (value === null || value === undefined) return html`<span class="muted">${choices ? t(`setting.unset.${name}`) : t('device.notSet')}</span>`;
  if (choices) return t(`${text}.${value}`);
  return isNumber ? `${number(value, value % 1 ? 1 : 0)}\u00a0${unit}` : value;
}

const columns = () => [
  {
    key: 'meter', label: t('devices.meter'), value: (each) => each.meterId,
    cell: (each) => (each.meterId ? html`<a href=${link('/meters', each.meterId)}>${each.meterId}</a>` : html`<span class="muted">${t('device.noMeter')}</span>`),
  },
  { key: 'since', label: t('assign.since'), value: (each) => each.since, cell: (each) => dateTime(each.since) },
  {
    key: 'until', label: t('assign.until'), value: (each) => each.until,
    cell: (each) => (each.until ? dateTime(each.until) : html`<${Badge} tone="ok">${t('assign.inForce')}<//>`),
  },
];

function Assignments({ id, state, changes }) {
  const query = useQuery(path`/v1/vehicles/${id}/assignments`, { limit: 1000 });
  useEffect(() => { if (changes) query.reload(); }, [changes]);
  const shownColumns = columns();
  const rows = [...(query.data?.items ?? [])].reverse();
  return html`
    <${Panel} flush title=${t('assign.history')} query=${query} csv=${() => tableCsv(`${id}-assignments`, shownColumns, rows)}
      detail=${state.meterId ? null : t('assign.missing')}>
      ${() => html`<${Table} label=${t('assign.history')} rows=${rows} rowKey=${(each) => each.since} columns=${shownColumns} height="24rem"
        empty=${html`<${Empty} icon="meter" title=${t('assign.never')}>${t('assign.neverDetail')}<//>`} />`}
    <//>`;
}
