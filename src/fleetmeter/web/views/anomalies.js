/** The inbox of anomalies. */
import { html } from '../lib/html.js';
import { t } from '../lib/texts.js';
import { Empty } from '../parts/states.js';

export const Anomalies = () => html`
  <div class="view">
    <div class="view-head"><h1>${t('nav.anomalies')}</h1></div>
    <${Empty} />
  </div>`;
