/** Webhooks: where events of anomalies are sent, and how that goes. */
import { del, path, post } from '../../lib/api.js';
import { ago, dateTime, number } from '../../lib/formats.js';
import { html, useState } from '../../lib/html.js';
import { useQuery } from '../../lib/query.js';
import { can } from '../../lib/session.js';
import { t } from '../../lib/texts.js';
import { Copyable } from '../../parts/actions.js';
import { Badge } from '../../parts/badge.js';
import { Dialog } from '../../parts/dialog.js';
import { Field } from '../../parts/field.js';
import { Icon } from '../../parts/icon.js';
import { Panel } from '../../parts/panel.js';
import { Empty } from '../../parts/states.js';
import { Table, tableCsv } from '../../parts/table.js';
import { toast, toastError } from '../../parts/toast.js';
import { kindName } from '../anomalies/words.js';
import { Confirm, useAction } from './confirm.js';
import { Frame } from './frame.js';

const REFRESH_MS = 10_000;

export function WebhookSettings() {
  const [doing, setDoing] = useState(null);
  const query = useQuery(can('admin') ? '/v1/webhooks' : null, {}, { refreshMs: REFRESH_MS });
  const rows = query.data?.items ?? [];
  const columns = columnsOf(setDoing, query.reload);
  const close = () => setDoing(null);
  const added = (secret) => {
    setDoing({ what: 'secret', secret });
    query.reload();
  };
  const remove = async () => {
    await del(path`/v1/webhooks/${doing.webhook.id}`);
    toast(t('webhook.removed'));
    query.reload();
  };
  const actions = html`<button class="button primary" onClick=${() => setDoing({ what: 'add' })}>${t('webhook.add')}</button>`;
  return html`
    <${Frame}>
      <${Panel} flush title=${t('settings.webhooks')} detail=${t('webhook.detail')} query=${query} csv=${() => tableCsv('webhooks', columns, rows)} actions=${actions}>
        ${() => html`<${Table} label=${t('settings.webhooks')} rows=${rows} rowKey=${(row) => row.id} columns=${columns}
          empty=${html`<${Empty} title=${t('webhook.none')}>${t('webhook.noneDetail')}<//>`} />`}
      <//>
      ${doing?.what === 'add' && html`<${Add} onAdded=${added} onClose=${close} />`}
      ${doing?.what === 'secret' && html`
        <${Dialog} title=${t('webhook.secretTitle')} onClose=${close}>
          <p>${t('webhook.secretDetail')}</p>
          <${Copyable} label=${t('webhook.secret')} text=${doing.secret} />
          <div class="dialog-foot"><button class="button primary" onClick=${close}>${t('key.copied')}</button></div>
        <//>`}
      ${doing?.what === 'remove' && html`
        <${Confirm} title=${t('webhook.removeTitle')} verb=${t('webhook.remove')} danger act=${remove} onClose=${close}>
          <p><code>${doing.webhook.url}</code></p><p>${t('webhook.removeDetail')}</p>
        <//>`}
    <//>`;
}

/** The state of a webhook, and its colour. */
const stateOf = (webhook) => (webhook.disabledAt ? ['disabled', 'critical'] : webhook.failures ? ['failing', 'warning'] : ['works', 'ok']);

const columnsOf = (doing, reload) => [
  { key: 'url', label: t('webhook.url'), value: (row) => row.url, cell: (row) => html`<strong title=${row.url}>${row.url}</strong>` },
  { key: 'state', label: t('key.state'), value: (row) => stateOf(row)[0], cell: (row) => html`<${Badge} tone=${stateOf(row)[1]}>${t(`webhook.state.${stateOf(row)[0]}`)}<//>` },
  { wide: true, key: 'kinds', label: t('webhook.kinds'), value: (row) => row.kinds.join(' '), cell: (row) => (row.kinds.length ? html`<span title=${row.kinds.map((each) => kindName(each)).join(', ')}>${row.kinds.length === 1 ? kindName(row.kinds[0]) : t('webhook.someKinds', { count: row.kinds.length })}</span>` : t('webhook.allKinds')) },
  { wide: true, key: 'format', label: t('webhook.format'), value: (row) => row.format },
  { wide: true, key: 'waiting', label: t('webhook.waiting'), number: true, value: (row) => row.waiting, cell: (row) => number(row.waiting) },
  { wide: true, key: 'success', label: t('webhook.lastSuccess'), value: (row) => row.lastSuccessAt, cell: (row) => (row.lastSuccessAt ? html`<span title=${dateTime(row.lastSuccessAt)}>${ago(row.lastSuccessAt)}</span>` : t('key.never')) },
  { wide: true, key: 'error', label: t('webhook.lastError'), value: (row) => row.lastError, cell: (row) => (row.lastError ? html`<span title=${row.lastError} lang="en">${row.lastError}</span>` : '–') },
  { key: 'actions', label: t('key.actions'), number: true, cell: (row) => html`<${Actions} webhook=${row} doing=${doing} reload=${reload} />` },
];

function Actions({ webhook, doing, reload }) {
  const [busy, setBusy] = useState(false);
  const act = async (action) => {
    setBusy(true);
    try {
      await action();
      await reload();
    } catch (error) {
      toastError(error);
    }
    setBusy(false);
  };
  const enable = () => act(async () => {
    await post(path`/v1/webhooks/${webhook.id}/enable`, { fromNow: false });
    toast(t('webhook.enabled'));
  });
  const test = () => act(async () => {
    const { accepted, status, error } = await post(path`/v1/webhooks/${webhook.id}/test`);
    if (accepted) toast(t('webhook.accepted', { status }));
    else toast(t('webhook.refused', { error: error ?? status }), 'critical');
  });
  return html`<span class="row">
    ${stateOf(webhook)[0] !== 'works' && html`<button class="button small" disabled=${busy} onClick=${enable}>${t('webhook.enable')}</button>`}
    <button class="button small" disabled=${busy} onClick=${test}>${t('webhook.test')}</button>
    <button class="button small danger" aria-label=${t('webhook.removeTitle')} onClick=${() => doing({ what: 'remove', webhook })}><${Icon} name="close" /><span class="wide">${t('webhook.remove')}</span></button>
  </span>`;
}

function Add({ onAdded, onClose }) {
  const [target, setTarget] = useState('');
  const [format, setFormat] = useState('fleetmeter');
  const [kinds, setKinds] = useState([]);
  const rules = useQuery('/v1/rules');
  const { busy, wrong, run } = useAction();
  const toggle = (kind) => setKinds(kinds.includes(kind) ? kinds.filter((each) => each !== kind) : [...kinds, kind]);
  const submit = (event) => {
    event.preventDefault();
    run(async () => onAdded((await post('/v1/webhooks', { url: target.trim(), format, kinds })).secret));
  };
  return html`
    <${Dialog} title=${t('webhook.add')} wide onClose=${onClose}>
      <form class="stack" onSubmit=${submit}>
        <${Field} label=${t('webhook.url')} type="url" value=${target} onInput=${setTarget} help=${t('webhook.urlHelp')} wrong=${wrong} required autofocus />
        <${Field} label=${t('webhook.format')} value=${format} onInput=${setFormat} options=${['fleetmeter', 'alertmanager'].map((each) => [each, t(`webhook.format.${each}`)])} />
        <fieldset class="checks two">
          <legend>${t('webhook.kinds')}</legend>
          <p class="muted small">${t('webhook.kindsHelp')}</p>
          ${(rules.data?.items ?? []).map((each) => html`
            <label key=${each.kind}><input type="checkbox" checked=${kinds.includes(each.kind)} onChange=${() => toggle(each.kind)} /><span>${kindName(each.kind, each.title)}</span></label>`)}
        </fieldset>
        <div class="dialog-foot">
          <button type="button" class="button" onClick=${onClose}>${t('action.cancel')}</button>
          <button class="button primary" disabled=${busy}>${t('webhook.add')}</button>
        </div>
      </form>
    <//>`;
}
