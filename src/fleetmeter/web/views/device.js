/** One vehicle or meter. */
import { html } from '../lib/html.js';
import { t } from '../lib/texts.js';
import { Empty } from '../parts/states.js';

export const Device = ({ kind, id }) => html`
  <div class="view">
    <div class="view-head"><h1>${id}</h1></div>
    <${Empty} />
  </div>`;
