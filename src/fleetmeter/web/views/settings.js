/** Keys, webhooks and rules, for admins. */
import { html } from '../lib/html.js';
import { t } from '../lib/texts.js';
import { Empty } from '../parts/states.js';

export const Settings = () => html`
  <div class="view">
    <div class="view-head"><h1>${t('nav.settings')}</h1></div>
    <${Empty} />
  </div>`;
