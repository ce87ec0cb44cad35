/** How reliable figures are, in a word. */
import { html } from '../../lib/html.js';
import { known } from '../../lib/texts.js';
import { Badge } from '../../parts/badge.js';

const TONES = { complete: 'ok', partial: 'warning', no_meter: 'warning', no_data: 'critical' };

/** @param {{status: 'complete' | 'partial' | 'no_meter' | 'no_data'}} properties */
export const QualityBadge = ({ status }) => html`<${Badge} tone=${TONES[status]}>${known(`quality.${status}`, status)}<//>`;
