/** The frame of a form in a dialog: fields, what is wrong as a whole, and its buttons. */
import { html } from '../lib/html.js';
import { t } from '../lib/texts.js';
import { Dialog } from './dialog.js';

/**
 * @param {{
 *   title: string, form: ReturnType<typeof import('../lib/form.js').useForm>, onClose: () => void, wide?: boolean,
 *   action?: string, danger?: boolean, more?: any, children: any,
 * }} properties
 * `action`: the text of the button that sends; `more`: further buttons, at the start.
 */
export const FormDialog = ({ title, form, onClose, wide, action = t('action.save'), danger, more, children }) => html`
  <${Dialog} title=${title} wide=${wide} onClose=${onClose}>
    <form class="stack" onSubmit=${form.submit}>
      ${children}
      ${form.error && html`<p class="form-error" role="alert">${form.error}</p>`}
      <div class="dialog-foot">
        ${more && html`<div class="dialog-more">${more}</div>`}
        <button type="button" class="button" onClick=${onClose}>${t('action.cancel')}</button>
        <button class=${`button ${danger ? 'danger' : 'primary'}`} disabled=${form.busy}>${action}</button>
      </div>
    </form>
  <//>`;
