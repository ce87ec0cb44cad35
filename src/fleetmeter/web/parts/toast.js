/** Short messages that go by themselves. */
import { html } from '../lib/html.js';
import { createStore, useStore } from '../lib/store.js';
import { t } from '../lib/texts.js';
import { errorText } from './states.js';
import { Icon } from './icon.js';

const SHOWN_MS = 6000;
const MOST = 4;
const messages = createStore([]);
let last = 0;

const remove = (id) => messages.set(messages.get().filter((each) => each.id !== id));

/** Show a message. @param {string} text @param {'ok' | 'critical' | 'warning' | 'info'} [tone] */
export function toast(text, tone = 'ok') {
  const id = (last += 1);
  messages.set([...messages.get().slice(1 - MOST), { id, text, tone }]);
  setTimeout(remove, tone === 'critical' ? 2 * SHOWN_MS : SHOWN_MS, id);
}

/** Show why a request failed. */
export const toastError = (error) => toast(errorText(error), 'critical');

export const Toasts = () => html`
  <div class="toasts" aria-live="polite">
    ${useStore(messages).map(({ id, text, tone }) => html`
      <div key=${id} class=${`toast tone-${tone}`}>
        <p>${text}</p>
        <button class="button quiet small" aria-label=${t('action.close')} onClick=${() => remove(id)}><${Icon} name="close" /></button>
      </div>`)}
  </div>`;
