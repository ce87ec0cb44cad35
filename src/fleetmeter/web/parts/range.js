/** Chooses a window of time: a few by name, or two days. */
import { html, useState } from '../lib/html.js';
import { t } from '../lib/texts.js';
import { PRESETS } from '../lib/time.js';
import { Dialog } from './dialog.js';
import { Field, Segments } from './field.js';

const OWN = 'own';

/** @param {{value: string, onChange: (value: string) => void, presets?: string[]}} properties `value` is for `windowOf` */
export function RangePicker({ value, onChange, presets = Object.keys(PRESETS) }) {
  const [open, setOpen] = useState(false);
  const own = value.includes('..');
  const options = [...presets.map((name) => [name, t(`range.${name}`)]), [OWN, own ? value.replace('..', ' – ') : t('range.own')]];
  return html`
    <${Segments} label=${t('range.label')} value=${own ? OWN : value} options=${options}
      onChange=${(name) => (name === OWN ? setOpen(true) : onChange(name))} />
    ${open && html`<${Days} value=${value} onChange=${onChange} onClose=${() => setOpen(false)} />`}`;
}

function Days({ value, onChange, onClose }) {
  const today = new Date().toLocaleDateString('sv-SE'); // as ISO 8601 writes a day
  const [from, setFrom] = useState(value.split('..')[1] ? value.split('..')[0] : today);
  const [to, setTo] = useState(value.split('..')[1] ?? today);
  const choose = (event) => {
    event.preventDefault();
    onChange(`${from}..${to}`);
    onClose();
  };
  return html`
    <${Dialog} title=${t('range.label')} onClose=${onClose}>
      <form class="stack" onSubmit=${choose}>
        <div class="grid tiles">
          <${Field} label=${t('range.from')} type="date" value=${from} max=${to} required onInput=${setFrom} />
          <${Field} label=${t('range.to')} type="date" value=${to} min=${from} required onInput=${setTo} />
        </div>
        <div class="dialog-foot"><button class="button primary">${t('action.show')}</button></div>
      </form>
    <//>`;
}
