/** What stands beside every table and chart: its data as CSV, and the request that gives them. */
import { download, toCsv } from '../lib/csv.js';
import { html, useState } from '../lib/html.js';
import { t } from '../lib/texts.js';
import { Dialog } from './dialog.js';
import { Icon } from './icon.js';
import { toast } from './toast.js';

/** @param {{csv: () => {name: string, columns: string[], rows: unknown[][]}}} properties called when it is wanted */
export function CsvButton({ csv }) {
  const save = () => {
    const { name, columns, rows } = csv();
    download(`${name}.csv`, toCsv(columns, rows));
  };
  return html`<button class="button quiet small" title=${t('action.csvDetail')} onClick=${save}><${Icon} name="download" />${t('action.csv')}</button>`;
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast(t('action.copied'));
  } catch {
    toast(t('action.notCopied'), 'warning');
  }
}

/** A text to copy. @param {{text: string, label: string}} properties */
export const Copyable = ({ text, label }) => html`
  <div class="stack">
    <div class="row spread">
      <h3>${label}</h3>
      <button class="button small" onClick=${() => copy(text)}><${Icon} name="copy" />${t('action.copy')}</button>
    </div>
    <pre class="code">${text}</pre>
  </div>`;

/** @param {{request: string | string[]}} properties path and query, as of `useQuery`; several if it takes several */
export function RequestButton({ request }) {
  const [open, setOpen] = useState(false);
  const requests = [request].flat();
  const curl = requests.map((each) => `curl --header 'Authorization: Bearer <key>' ${quoted(location.origin + each)}`).join('\n');
  return html`
    <button class="button quiet small" title=${t('action.requestDetail')} onClick=${() => setOpen(true)}><${Icon} name="code" />${t('action.request')}</button>
    ${open && html`
      <${Dialog} title=${t('request.title')} onClose=${() => setOpen(false)}>
        <p class="muted">${t('request.detail')} <a href="/docs" target="_blank" rel="noreferrer">${t('request.reference')}</a></p>
        <${Copyable} label=${t('request.path')} text=${requests.map((each) => `GET ${each}`).join('\n')} />
        <${Copyable} label=${t('request.curl')} text=${curl} />
      <//>`}`;
}
