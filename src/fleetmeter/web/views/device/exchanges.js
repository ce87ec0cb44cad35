/** The exchanges of a meter: to record one, and to withdraw one. */
import { html, useState } from '../../lib/html.js';
import { del, path, post, url } from '../../lib/api.js';
import { numberIn, useForm } from '../../lib/form.js';
import { dateTime, measure } from '../../lib/formats.js';
import { useQuery } from '../../lib/query.js';
import { can } from '../../lib/session.js';
import { t } from '../../lib/texts.js';
import { localInput, rfc3339 } from '../../lib/time.js';
import { Field } from '../../parts/field.js';
import { FormDialog } from '../../parts/form.js';
import { Icon } from '../../parts/icon.js';
import { Panel } from '../../parts/panel.js';
import { Empty } from '../../parts/states.js';
import { Table, tableCsv } from '../../parts/table.js';
import { toast } from '../../parts/toast.js';

const kwh = (value) => measure(value, 'kWh', 1);

const columnsOf = (onDelete) => [
  { key: 'at', label: t('exchange.at'), value: (each) => each.at, cell: (each) => dateTime(each.at) },
  { key: 'register', label: t('exchange.register'), value: (each) => each.register, cell: (each) => t(`exchange.${each.register}`), wide: true },
  { key: 'last', label: t('exchange.last'), number: true, value: (each) => each.lastKwh, cell: (each) => kwh(each.lastKwh) },
  { key: 'first', label: t('exchange.first'), number: true, value: (each) => each.firstKwh, cell: (each) => kwh(each.firstKwh) },
  ...(onDelete ? [{
    key: 'act', label: '', cell: (each) => html`
      <button class="button quiet small" aria-label=${t('exchange.delete')} title=${t('exchange.delete')} onClick=${() => onDelete(each)}><${Icon} name="remove" /></button>`,
  }] : []),
];

export function Exchanges({ id }) {
  const address = path`/v1/meters/${id}/exchanges`;
  const query = useQuery(address, { limit: 1000 });
  const [recording, setRecording] = useState(false);
  const [deleting, setDeleting] = useState(null);
  const columns = columnsOf(can('operate') && setDeleting);
  const rows = query.data?.items ?? [];
  const done = () => {
    setRecording(false);
    setDeleting(null);
    query.reload();
  };
  return html`
    <${Panel} flush title=${t('exchange.title')} query=${query} csv=${() => tableCsv(`${id}-exchanges`, columns, rows)}
      actions=${can('operate') && html`<button class="button small" onClick=${() => setRecording(true)}>${t('exchange.record')}</button>`}>
      ${() => html`<${Table} label=${t('exchange.title')} rows=${rows} rowKey=${(each) => `${each.at} ${each.register}`} columns=${columns} height="24rem"
        empty=${html`<${Empty} icon="meter" title=${t('exchange.none')}>${t('exchange.noneDetail')}<//>`} />`}
    <//>
    ${recording && html`<${Record} address=${address} onClose=${() => setRecording(false)} onDone=${done} />`}
    ${deleting && html`<${Delete} address=${address} exchange=${deleting} onClose=${() => setDeleting(null)} onDone=${done} />`}`;
}

function Record({ address, onClose, onDone }) {
  const form = useForm({ at: localInput(Date.now()), register: 'kwhConsumedAcTotal', lastKwh: '', firstKwh: '0' }, async (values) => {
    await post(address, {
      at: rfc3339(values.at), register: values.register, lastKwh: numberIn(values.lastKwh), firstKwh: numberIn(values.firstKwh),
    });
    toast(t('exchange.done'));
    onDone();
  });
  return html`
    <${FormDialog} title=${t('exchange.record')} form=${form} onClose=${onClose}>
      <p class="muted">${t('exchange.detail')}</p>
      <${Field} label=${t('exchange.at')} type="datetime-local" step="1" required ...${form.field('at')} />
      <${Field} label=${t('exchange.register')} ...${form.field('register')}
        options=${['kwhConsumedAcTotal', 'kwhExportedAcTotal'].map((name) => [name, t(`exchange.${name}`)])} />
      <div class="grid form-grid">
        <${Field} label=${t('exchange.lastKwh')} type="number" step="any" required ...${form.field('lastKwh')} />
        <${Field} label=${t('exchange.firstKwh')} type="number" step="any" required ...${form.field('firstKwh')} />
      </div>
    <//>`;
}

function Delete({ address, exchange, onClose, onDone }) {
  const form = useForm({}, async () => {
    await del(url(address, { at: exchange.at, register: exchange.register }));
    toast(t('exchange.deleted'));
    onDone();
  });
  return html`
    <${FormDialog} title=${t('exchange.delete')} form=${form} onClose=${onClose} danger action=${t('exchange.delete')}>
      <p>${t('exchange.deleteDetail', { time: dateTime(exchange.at) })}</p>
    <//>`;
}
