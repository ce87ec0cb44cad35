/** One figure with its label. */
import { html } from '../lib/html.js';
import { t } from '../lib/texts.js';
import { Dot } from './badge.js';

/**
 * @param {{label: string, parts?: {value: string, unit: string}, value?: any, detail?: any, tone?: string, href?: string,
 *   loading?: boolean}} properties
 * `parts` as of `energyParts`, or a `value` that is written already; `href` makes it a link; `loading`: not known yet, which is not the same as –.
 */
export function Tile({ label, parts, value, detail, tone, href, loading }) {
  const content = html`
    <span class="tile-label">${tone && html`<${Dot} tone=${tone} />`}${label}</span>
    <span class="tile-figure">${loading ? html`<span class="skeleton" role="status" aria-label=${t('state.loading')}></span>`
      : html`${parts ? parts.value : value}${parts?.unit && html`<span class="unit">${parts.unit}</span>`}`}</span>
    ${detail && html`<span class="tile-detail">${detail}</span>`}`;
  return href ? html`<a class="tile" href=${href}>${content}</a>` : html`<div class="tile">${content}</div>`;
}
