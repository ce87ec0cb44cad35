/** The load of a site or meter, by quarter hours. */
import { html } from '../lib/html.js';
import { t } from '../lib/texts.js';
import { Empty } from '../parts/states.js';

export const Load = () => html`
  <div class="view">
    <div class="view-head"><h1>${t('nav.load')}</h1></div>
    <${Empty} />
  </div>`;
