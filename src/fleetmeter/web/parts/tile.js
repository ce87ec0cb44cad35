/** One figure with its label. */
import { html } from '../lib/html.js';
import { Dot } from './badge.js';

/**
 * @param {{label: string, parts?: {value: string, unit: string}, value?: any, detail?: any, tone?: string, href?: string}} properties
 * `parts` as of `energyParts`, or a `value` that is written already; `href` makes it a link.
 */
export function Tile({ label, parts, value, detail, tone, href }) {
  const content = html`
    <span class="tile-label">${tone && html`<${Dot} tone=${tone} />`}${label}</span>
    <span class="tile-figure">${parts ? parts.value : value}${parts?.unit && html`<span class="unit">${parts.unit}</span>`}</span>
    ${detail && html`<span class="tile-detail">${detail}</span>`}`;
  return href ? html`<a class="tile" href=${href}>${content}</a>` : html`<div class="tile">${content}</div>`;
}
