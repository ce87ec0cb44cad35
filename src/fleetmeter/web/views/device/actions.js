/** What may be done with a device, for who has the scope `operate`. */
import { html, useState } from '../../lib/html.js';
import { isCharger } from '../../lib/device_state.js';
import { can } from '../../lib/session.js';
import { t } from '../../lib/texts.js';
import { Icon } from '../../parts/icon.js';
import { Assign } from './assign.js';
import { SettingsForm } from './settings_form.js';
import { Withdraw } from './withdraw.js';

const DIALOGS = { assign: Assign, settings: SettingsForm, withdraw: Withdraw };

export function Actions({ kind, id, state, changed }) {
  const [open, setOpen] = useState(null);
  if (!can('operate')) return null;
  const Shown = DIALOGS[open];
  const close = () => setOpen(null);
  const done = () => {
    close();
    changed();
  };
  return html`
    <div class="row">
      ${(kind === 'vehicle' || isCharger(state)) && html`<button class="button" onClick=${() => setOpen('assign')}><${Icon} name=${kind === 'vehicle' ? 'meter' : 'vehicle'} />${t(`assign.${kind}`)}</button>`}
      <button class="button" onClick=${() => setOpen('settings')}><${Icon} name="edit" />${t('device.settings')}</button>
      <button class="button danger icon-only" title=${t('withdraw.action')} aria-label=${t('withdraw.action')} onClick=${() => setOpen('withdraw')}><${Icon} name="remove" /></button>
    </div>
    ${Shown && html`<${Shown} kind=${kind} id=${id} state=${state} onClose=${close} onDone=${done} />`}`;
}
