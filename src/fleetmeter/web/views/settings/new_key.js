/** Makes a key, or gives one another secret, and shows it once. */
import { path, post } from '../../lib/api.js';
import { dateTime } from '../../lib/formats.js';
import { html, useState } from '../../lib/html.js';
import { session } from '../../lib/session.js';
import { t } from '../../lib/texts.js';
import { rfc3339 } from '../../lib/time.js';
import { Copyable } from '../../parts/actions.js';
import { Dialog } from '../../parts/dialog.js';
import { Field } from '../../parts/field.js';
import { Confirm, useAction } from './confirm.js';

const SCOPES = ['ingest', 'read', 'operate', 'admin', 'metrics'];
const listOf = (text) => text.split(/[\s,]+/).filter(Boolean);
const HOUR_S = 3600;
const GRACES = ['0', String(HOUR_S), String(24 * HOUR_S), String(7 * 24 * HOUR_S)];

export function NewKey({ onMade, onClose }) {
  const [name, setName] = useState('');
  const [scopes, setScopes] = useState(['read']);
  const [devices, setDevices] = useState('');
  const [sites, setSites] = useState('');
  const [until, setUntil] = useState('');
  const { busy, wrong, run } = useAction();
  const toggle = (scope) => setScopes(scopes.includes(scope) ? scopes.filter((each) => each !== scope) : [...scopes, scope]);
  const submit = (event) => {
    event.preventDefault();
    run(async () => onMade(await post('/v1/keys', {
      name: name.trim(), scopes, devices: listOf(devices), sites: sites.split(',').map((each) => each.trim()).filter(Boolean),
      expiresAt: until ? rfc3339(`${until}T23:59:59`) : null,
    })));
  };
  return html`
    <${Dialog} title=${t('key.create')} onClose=${onClose}>
      <form class="stack" onSubmit=${submit}>
        <${Field} label=${t('key.name')} value=${name} onInput=${setName} help=${t('key.nameHelp')} required maxlength=${64} autocomplete="off" autofocus />
        <fieldset class="checks">
          <legend>${t('key.scopes')}</legend>
          ${SCOPES.map((scope) => html`
            <label key=${scope}><input type="checkbox" checked=${scopes.includes(scope)} onChange=${() => toggle(scope)} /><span><strong>${scope}</strong> <span class="muted">${t(`key.scope.${scope}`)}</span></span></label>`)}
        </fieldset>
        ${session.get().who.open && !scopes.includes('admin') && html`<p class="quoted-note" role="status">${t('key.first')}</p>`}
        <div class="grid tiles">
          <${Field} label=${t('key.devices')} value=${devices} onInput=${setDevices} help=${t('key.devicesHelp')} autocomplete="off" />
          <${Field} label=${t('key.sites')} value=${sites} onInput=${setSites} help=${t('key.sitesHelp')} autocomplete="off" />
        </div>
        <${Field} label=${t('key.expires')} type="date" value=${until} onInput=${setUntil} help=${t('key.expiresHelp')} />
        ${wrong && html`<p class="form-wrong" role="alert">${wrong}</p>`}
        <div class="dialog-foot">
          <button type="button" class="button" onClick=${onClose}>${t('action.cancel')}</button>
          <button class="button primary" disabled=${busy || !scopes.length}>${t('key.create')}</button>
        </div>
      </form>
    <//>`;
}

export function Rotate({ given, onMade, onClose }) {
  const [grace, setGrace] = useState(GRACES[1]);
  const act = async () => {
    const made = await post(path`/v1/keys/${given.id}/rotate`, { graceS: Number(grace) });
    setTimeout(onMade, 0, made); // after this dialog has closed
  };
  return html`
    <${Confirm} title=${t('key.rotateTitle', { name: given.name })} verb=${t('key.rotate')} act=${act} onClose=${onClose}>
      <p>${t('key.rotateDetail')}</p>
      <${Field} label=${t('key.grace')} value=${grace} onInput=${setGrace} options=${GRACES.map((each) => [each, t(`key.grace.${each}`)])} />
    <//>`;
}

/** The key's text: closing the dialog is the end of it. */
export const Shown = ({ made, onClose }) => html`
  <${Dialog} title=${t('key.shownTitle', { name: made.name })} onClose=${onClose}>
    <p>${t('key.shownDetail')}</p>
    <${Copyable} label=${t('key.text')} text=${made.key} />
    ${made.previousUntil && html`<p class="muted">${t('key.previousUntil', { time: dateTime(made.previousUntil) })}</p>`}
    <div class="dialog-foot"><button class="button primary" onClick=${onClose}>${t('key.copied')}</button></div>
  <//>`;
