/** Icons as strokes on a 24 × 24 grid, in the colour of the text. */
import { html } from '../lib/html.js';

const PATHS = {
  now: 'M3 12h4l3-8 4 16 3-8h4',
  vehicle: 'M4 16v-4l2-5.5A2 2 0 0 1 7.9 5h8.2A2 2 0 0 1 18 6.5l2 5.5v4M3 12h18v5H3zM6 17v2M18 17v2M7 14.5h.01M17 14.5h.01',
  meter: 'M4 17a8.5 8.5 0 1 1 16 0M12 14l4-5M4 17h2M18 17h2M12 14h.01',
  anomaly: 'M12 3.5 2.5 20h19zM12 10v4.5M12 17.2h.01',
  load: 'M4 20V11M9.3 20V5M14.6 20v-7M20 20V8',
  settings: 'M4 7h9M17 7h3M4 17h3M11 17h9M15 5v4M9 15v4',
  search: 'M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM15.5 15.5 20 20',
  download: 'M12 4v11M7.5 11 12 15.5 16.5 11M5 20h14',
  code: 'M8.5 7 3.5 12l5 5M15.5 7l5 5-5 5',
  copy: 'M9 9h10v11H9zM15 6V4H5v11h2',
  close: 'M6 6l12 12M18 6 6 18',
  check: 'M5 12.5 10 17.5 19 7',
  person: 'M12 11.5a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4.5 20.5c.6-4 3.6-6 7.5-6s6.9 2 7.5 6',
  offline: 'M3 3l18 18M8.5 8.8A7 7 0 0 0 6 18h11M10.5 6.3A6 6 0 0 1 17.9 11 4 4 0 0 1 20.6 17',
  empty: 'M4 13l2.5-8h11L20 13v6H4zM4 13h4.5l1 2.5h5l1-2.5H20',
  back: 'M14.5 6 8.5 12l6 6',
  next: 'M9.5 6l6 6-6 6',
  edit: 'M4 20h4L19.5 8.5l-4-4L4 16z',
  info: 'M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17zM12 11v5M12 8h.01',
  remove: 'M5 7h14M10 7V4.5h4V7M7 7l1 12.5h8L17 7M10.2 10.5v5.5M13.8 10.5v5.5',
  bolt: 'M13 3 5 14h6l-1 7 9-12h-6.5z',
};

/** @param {{name: keyof typeof PATHS}} properties */
export const Icon = ({ name }) =>
  html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;

/** The mark of FleetMeter. */
export const Mark = () => html`
  <svg viewBox="0 0 32 32" aria-hidden="true">
    <rect width="32" height="32" rx="8" fill="#5b4fe9" /><path d="M17.6 5 8.5 17.6h6.1L13.4 27l10-13.4h-6.6z" fill="#fff" />
  </svg>`;
