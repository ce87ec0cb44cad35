/** The audit log: who changed what, from where, newest first. */
import { get } from '../../lib/api.js';
import { exactTime } from '../../lib/formats.js';
import { html, useEffect, useMemo, useState } from '../../lib/html.js';
import { useQuery } from '../../lib/query.js';
import { can } from '../../lib/session.js';
import { known, t } from '../../lib/texts.js';
import { windowOf } from '../../lib/time.js';
import { useUrlState } from '../../lib/url_state.js';
import { Dialog } from '../../parts/dialog.js';
import { Field } from '../../parts/field.js';
import { Copyable } from '../../parts/actions.js';
import { Panel } from '../../parts/panel.js';
import { RangePicker } from '../../parts/range.js';
import { Empty } from '../../parts/states.js';
import { Table, tableCsv } from '../../parts/table.js';
import { toastError } from '../../parts/toast.js';
import { Frame } from './frame.js';

const ACTIONS = [
  'correct', 'void', 'restore', 'set', 'remove', 'assign', 'exchange', 'withdraw-exchange', 'set-rule', 'acknowledge', 'resolve',
  'purge', 'create-key', 'rotate-key', 'revoke-key', 'add-webhook', 'remove-webhook', 'enable-webhook',
];
const PAGE = 200;
const actionName = (action) => known(`audit.action.${action}`, action);

export function AuditSettings() {
  const [chosen, choose] = useUrlState({ who: '', action: '', object: '', range: '30d' });
  const { from, to } = useMemo(() => windowOf(chosen.range), [chosen.range]);
  const parameters = { who: chosen.who.trim(), action: chosen.action, object: chosen.object.trim(), from, to, limit: PAGE };
  const query = useQuery(can('admin') ? '/v1/audit' : null, parameters);
  const [more, setMore] = useState({ items: [], cursor: null });
  const [opened, setOpened] = useState(null);
  useEffect(() => setMore({ items: [], cursor: query.data?.nextCursor ?? null }), [query.data]);
  const next = () => get('/v1/audit', { ...parameters, cursor: more.cursor })
    .then((page) => setMore({ items: [...more.items, ...page.items], cursor: page.nextCursor })).catch(toastError);
  const rows = [...(query.data?.items ?? []), ...more.items];
  const columns = COLUMNS();
  const filters = html`
    <div class="row list-filters">
      <${Field} label=${t('audit.who')} value=${chosen.who} placeholder=${t('audit.whoHelp')} onChange=${(event) => choose({ who: event.target.value })} onInput=${() => {}} />
      <${Field} label=${t('audit.object')} value=${chosen.object} placeholder=${t('audit.objectHelp')} onChange=${(event) => choose({ object: event.target.value })} onInput=${() => {}} />
      <${Field} label=${t('audit.action')} value=${chosen.action} onInput=${(action) => choose({ action })}
        options=${[['', t('audit.allActions')], ...ACTIONS.map((each) => [each, actionName(each)])]} />
    </div>`;
  return html`
    <${Frame}>
      <div class="row"><${RangePicker} value=${chosen.range} presets=${['24h', '7d', '30d']} onChange=${(range) => choose({ range })} /></div>
      <${Panel} flush title=${t('settings.audit')} detail=${t('audit.detail')} query=${query} csv=${() => tableCsv('audit', columns, rows)}>
        ${() => html`
          ${filters}
          <${Table} label=${t('settings.audit')} rows=${rows} rowKey=${(row) => row.id} columns=${columns} onOpen=${setOpened} empty=${html`<${Empty} title=${t('audit.none')} />`} />
          ${more.cursor && html`<div class="table-more"><button class="button" onClick=${next}>${t('audit.more')}</button></div>`}`}
      <//>
      ${opened && html`<${Entry} entry=${opened} onClose=${() => setOpened(null)} />`}
    <//>`;
}

const COLUMNS = () => [
  { key: 'at', label: t('audit.at'), value: (row) => row.at, cell: (row) => exactTime(row.at) },
  { key: 'who', label: t('audit.who'), value: (row) => row.who },
  { key: 'action', label: t('audit.action'), value: (row) => row.action, cell: (row) => html`<span class="device-name"><b>${actionName(row.action)}</b><span class="narrow">${row.object}</span></span>` },
  { wide: true, key: 'object', label: t('audit.object'), value: (row) => row.object },
  { wide: true, key: 'after', label: t('audit.after'), value: (row) => JSON.stringify(row.after), cell: (row) => html`<code class="muted">${row.after === null ? '–' : JSON.stringify(row.after)}</code>` },
  { wide: true, key: 'address', label: t('audit.address'), value: (row) => row.address, cell: (row) => row.address ?? '–' },
  { key: 'before', label: t('audit.before'), onlyCsv: true, value: (row) => JSON.stringify(row.before) },
  { key: 'request', label: t('audit.request'), onlyCsv: true, value: (row) => row.requestId },
];

const shown = (value) => (value === null ? '–' : JSON.stringify(value, null, 2));

const Entry = ({ entry, onClose }) => html`
  <${Dialog} title=${`${actionName(entry.action)}: ${entry.object}`} wide onClose=${onClose}>
    <dl class="fact-grid">
      <div><dt>${t('audit.at')}</dt><dd>${exactTime(entry.at)}</dd></div>
      <div><dt>${t('audit.who')}</dt><dd>${entry.who}</dd></div>
      <div><dt>${t('audit.address')}</dt><dd>${entry.address ?? '–'}</dd></div>
      <div><dt>${t('audit.request')}</dt><dd><code>${entry.requestId ?? '–'}</code></dd></div>
    </dl>
    <${Copyable} label=${t('audit.before')} text=${shown(entry.before)} />
    <${Copyable} label=${t('audit.after')} text=${shown(entry.after)} />
  <//>`;
