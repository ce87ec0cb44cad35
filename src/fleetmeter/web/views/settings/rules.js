/** All rules, with how far their thresholds differ from the defaults. */
import { number } from '../../lib/formats.js';
import { html } from '../../lib/html.js';
import { useQuery } from '../../lib/query.js';
import { go, link } from '../../lib/router.js';
import { t } from '../../lib/texts.js';
import { useUrlState } from '../../lib/url_state.js';
import { Badge, SeverityBadge } from '../../parts/badge.js';
import { Panel } from '../../parts/panel.js';
import { Table, tableCsv } from '../../parts/table.js';
import { aboutRule, kindName, Worded } from '../anomalies/words.js';
import { Frame } from './frame.js';

const COLUMNS = () => [
  { key: 'name', label: t('anomaly.kind'), value: (row) => kindName(row.kind, row.title), cell: (row) => html`<a class="plain" href=${link('/settings/rules', row.kind)}>${kindName(row.kind, row.title)}</a>` },
  { wide: true, key: 'severity', label: t('anomaly.severity'), value: (row) => row.severity, cell: (row) => html`<${SeverityBadge} severity=${row.severity} />` },
  { wide: true, key: 'devices', label: t('rule.devices'), value: (row) => row.deviceKinds.map((each) => t(`scope.${each}`)).join(', ') },
  {
    key: 'set', label: t('rule.fleetSets'), number: true, wide: true, value: (row) => Object.keys(row.overrides[0]?.parameters ?? {}).length,
    cell: (row) => {
      const count = Object.keys(row.overrides[0]?.parameters ?? {}).length;
      return count ? number(count) : html`<span class="muted">${t('rule.default')}</span>`;
    },
  },
  { key: 'enabled', label: t('rule.state'), value: (row) => row.parameters.enabled, cell: (row) => html`<${Badge} tone=${row.parameters.enabled ? 'ok' : 'warning'}>${t(row.parameters.enabled ? 'rule.on' : 'rule.off')}<//>` },
  { wide: true, key: 'description', label: t('rule.meaning'), value: aboutRule, cell: (row) => html`<span class="muted" title=${aboutRule(row)}><${Worded} text=${aboutRule(row)} own=${row.description} /></span>` },
];

export function RuleSettings() {
  const [{ order }, choose] = useUrlState({ order: 'name' });
  const query = useQuery('/v1/rules');
  const columns = COLUMNS();
  return html`
    <${Frame}>
      <${Panel} flush title=${t('settings.rules')} detail=${t('rule.detail')} query=${query} csv=${() => tableCsv('rules', columns, query.data.items)}>
        ${({ items }) => html`<${Table} label=${t('settings.rules')} rows=${items} rowKey=${(row) => row.kind} columns=${columns} height="60rem"
          order=${order} onOrder=${(next) => choose({ order: next })} onOpen=${(row) => go(link('/settings/rules', row.kind))} />`}
      <//>
    <//>`;
}
