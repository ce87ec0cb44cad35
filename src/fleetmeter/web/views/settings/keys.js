/** Access keys: who may come in, with what, and when they last did. */
import { del, path } from '../../lib/api.js';
import { ago, date, dateTime } from '../../lib/formats.js';
import { html, useState } from '../../lib/html.js';
import { useQuery } from '../../lib/query.js';
import { can } from '../../lib/session.js';
import { t } from '../../lib/texts.js';
import { useUrlState } from '../../lib/url_state.js';
import { Badge } from '../../parts/badge.js';
import { Segments } from '../../parts/field.js';
import { Icon } from '../../parts/icon.js';
import { Panel } from '../../parts/panel.js';
import { Empty } from '../../parts/states.js';
import { Table, tableCsv } from '../../parts/table.js';
import { toast } from '../../parts/toast.js';
import { Confirm } from './confirm.js';
import { Frame } from './frame.js';
import { NewKey, Rotate, Shown } from './new_key.js';

const SOON_MS = 14 * 86_400_000;

export function KeySettings() {
  const [{ revoked, order }, choose] = useUrlState({ revoked: 'no', order: 'name' });
  const [doing, setDoing] = useState(null);
  const query = useQuery(can('admin') ? '/v1/keys' : null, { revoked: revoked === 'yes' || null, limit: 1000 }, { all: true });
  const rows = query.data?.items ?? [];
  const columns = columnsOf(setDoing);
  const close = () => setDoing(null);
  const shown = (key) => setDoing({ what: 'shown', key });
  const copied = () => {
    close();
    query.reload(); // only now: with the first key, the page must sign in
  };
  const revoke = async () => {
    await del(path`/v1/keys/${doing.key.id}`);
    toast(t('key.revoked', { name: doing.key.name }));
    query.reload();
  };
  const actions = html`
    <div class="row">
      <${Segments} label=${t('key.which')} value=${revoked} onChange=${(next) => choose({ revoked: next })} options=${[['no', t('key.living')], ['yes', t('key.withRevoked')]]} />
      <button class="button primary" onClick=${() => setDoing({ what: 'create' })}>${t('key.create')}</button>
    </div>`;
  return html`
    <${Frame}>
      <${Panel} flush title=${t('settings.keys')} detail=${t('key.detail')} query=${query} csv=${() => tableCsv('keys', columns, rows)} actions=${actions}>
        ${() => html`<${Table} label=${t('settings.keys')} rows=${rows} rowKey=${(row) => row.id} columns=${columns}
          order=${order} onOrder=${(next) => choose({ order: next })}
          empty=${html`<${Empty} title=${t('key.none')}>${t('key.noneDetail')}<//>`} />`}
      <//>
      ${doing?.what === 'create' && html`<${NewKey} onMade=${shown} onClose=${close} />`}
      ${doing?.what === 'rotate' && html`<${Rotate} given=${doing.key} onMade=${shown} onClose=${close} />`}
      ${doing?.what === 'shown' && html`<${Shown} made=${doing.key} onClose=${copied} />`}
      ${doing?.what === 'revoke' && html`
        <${Confirm} title=${t('key.revokeTitle', { name: doing.key.name })} verb=${t('key.revoke')} danger act=${revoke} onClose=${close}>
          <p>${t('key.revokeDetail')}</p>
        <//>`}
    <//>`;
}

/** The state of a key, and its colour. */
function stateOf(key, now = Date.now()) {
  if (key.revokedAt) return ['revoked', 'critical'];
  if (key.expiresAt && Date.parse(key.expiresAt) <= now) return ['expired', 'critical'];
  if (key.expiresAt && Date.parse(key.expiresAt) - now < SOON_MS) return ['soon', 'warning'];
  return ['works', 'ok'];
}

const reachOf = (key) => [...key.devices, ...key.sites].join(', ') || t('key.everything');

const columnsOf = (doing) => [
  { key: 'name', label: t('key.name'), value: (row) => row.name, cell: (row) => html`<strong>${row.name}</strong> <code class="muted">${`fm_${row.id}_…`}</code>` },
  { key: 'state', label: t('key.state'), value: (row) => stateOf(row)[0], cell: (row) => html`<${Badge} tone=${stateOf(row)[1]}>${t(`key.state.${stateOf(row)[0]}`)}<//>` },
  { wide: true, key: 'scopes', label: t('key.scopes'), value: (row) => row.scopes.join(' '), cell: (row) => html`<span class="badges">${row.scopes.map((each) => html`<${Badge} key=${each} tone=${each === 'admin' ? 'accent' : undefined}>${each}<//>`)}</span>` },
  { wide: true, key: 'reach', label: t('key.reach'), value: reachOf },
  { wide: true, key: 'used', label: t('key.lastUsed'), value: (row) => row.lastUsedAt, cell: (row) => (row.lastUsedAt ? html`<span title=${dateTime(row.lastUsedAt)}>${ago(row.lastUsedAt)}</span>` : t('key.never')) },
  { wide: true, key: 'expires', label: t('key.expires'), value: (row) => row.expiresAt, cell: (row) => (row.expiresAt ? html`<span title=${dateTime(row.expiresAt)}>${date(row.expiresAt)}</span>` : t('key.never')) },
  { wide: true, key: 'created', label: t('key.created'), value: (row) => row.createdAt, cell: (row) => html`<span title=${`${dateTime(row.createdAt)} · ${row.createdBy}`}>${date(row.createdAt)}</span>` },
  {
    key: 'actions', label: t('key.actions'), number: true,
    cell: (row) => !row.revokedAt && html`<span class="row">
      <button class="button small" onClick=${() => doing({ what: 'rotate', key: row })}>${t('key.rotate')}</button>
      <button class="button small danger" aria-label=${t('key.revokeTitle', { name: row.name })} onClick=${() => doing({ what: 'revoke', key: row })}><${Icon} name="close" /><span class="wide">${t('key.revoke')}</span></button>
    </span>`,
  },
];
