/** How full something is, as a small bar; the figure stands beside it. */
import { html } from '../lib/html.js';

const LOW = 20;

/** @param {{percent: number | null | undefined, tone?: string}} properties red below 20 %, without a tone of its own */
export const Level = ({ percent, tone = percent < LOW ? 'critical' : 'dc' }) =>
  (percent === null || percent === undefined ? null : html`
    <span class=${`level tone-${tone}`} aria-hidden="true"><i style=${{ width: `${Math.min(100, Math.max(0, percent))}%` }}></i></span>`);
