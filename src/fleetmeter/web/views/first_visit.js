/** What an empty database greets with. */
import { html } from '../lib/html.js';
import { t } from '../lib/texts.js';
import { Empty } from '../parts/states.js';

export const FirstVisit = () => html`
  <div class="view">
    <div class="view-head"><h1>${t('app.name')}</h1></div>
    <${Empty} />
  </div>`;
