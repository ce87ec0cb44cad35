/** All vehicles or all meters. */
import { html } from '../lib/html.js';
import { t } from '../lib/texts.js';
import { Empty } from '../parts/states.js';

export const Devices = ({ kind }) => html`
  <div class="view">
    <div class="view-head"><h1>${t(`nav.${kind}s`)}</h1></div>
    <${Empty} />
  </div>`;
