/** One anomaly with its evidence. */
import { html } from '../lib/html.js';
import { t } from '../lib/texts.js';
import { Empty } from '../parts/states.js';

export const Anomaly = ({ id }) => html`
  <div class="view">
    <div class="view-head"><h1>${id}</h1></div>
    <${Empty} />
  </div>`;
