/** A word with a colour that means something. */
import { html } from '../lib/html.js';
import { t } from '../lib/texts.js';

/** @param {{tone?: 'ac'|'dc'|'loss'|'solar'|'unattributed'|'critical'|'warning'|'info'|'ok'|'accent', children: any}} properties */
export const Badge = ({ tone, children }) => html`<span class=${`badge ${tone ? `tone-${tone}` : ''}`}>${children}</span>`;

/** @param {{severity: 'critical' | 'warning' | 'info'}} properties */
export const SeverityBadge = ({ severity }) => html`<${Badge} tone=${severity}>${t(`severity.${severity}`)}<//>`;

const TONES = { open: 'critical', acknowledged: 'warning', resolved: 'ok' };

/** The status of an anomaly. @param {{status: 'open' | 'acknowledged' | 'resolved'}} properties */
export const StatusBadge = ({ status }) => html`<${Badge} tone=${TONES[status]}>${t(`status.${status}`)}<//>`;

/** A square in the colour of a kind of energy. */
export const Dot = ({ tone }) => html`<i class=${`dot tone-${tone}`}></i>`;
