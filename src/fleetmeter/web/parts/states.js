/** What stands in the place of content that is not there: loading, empty, failed, not reached. */
import { faultText } from '../lib/faults.js';
import { html } from '../lib/html.js';
import { known, t } from '../lib/texts.js';
import { Icon } from './icon.js';

/** A grey shape of the content to come. @param {{height?: number}} properties px */
export const Loading = ({ height = 144 }) =>
  html`<div class="skeleton" role="status" aria-label=${t('state.loading')} style=${{ height: `${height}px` }}></div>`;

/** Nothing to show, and why. @param {{title?: string, children?: any, icon?: string}} properties */
export const Empty = ({ title = t('state.empty'), icon = 'empty', children }) => html`
  <div class="state">
    <${Icon} name=${icon} />
    <h3>${title}</h3>
    ${children && html`<p>${children}</p>`}
  </div>`;

/** Return the sentence for an error of a request. A text that ends with a colon is followed by what the service says. */
export function errorText(error) {
  if (error.offline) return t('state.disconnectedDetail');
  const detail = error.message;
  const text = known(`problem.${error.problem?.type?.split(':').at(-1)}`, detail, { detail });
  if (!text.endsWith(':')) return text;
  const faults = (error.problem?.errors ?? []).map(({ path, detail: own }) => [path.replace(/^\$\.?/, ''), faultText(own), own]);
  const worded = faults.length > 0 && faults.every(([, said, own]) => said !== own);
  const shown = worded ? faults.map(([path, said]) => `${path}: ${said}`).join('; ') : detail;
  return html`${text}<br /><small lang=${worded ? undefined : 'en'}>${shown}</small>`;
}

/** A request failed. @param {{error: any, retry?: () => void}} properties */
export const Failed = ({ error, retry }) => html`
  <div class="state" role="alert">
    <${Icon} name=${error.offline ? 'offline' : 'anomaly'} />
    <h3>${t(error.offline ? 'state.disconnected' : error.status === 403 ? 'state.forbidden' : 'state.failed')}</h3>
    <p>${errorText(error)}</p>
    ${retry && html`<button class="button" onClick=${retry}>${t('action.retry')}</button>`}
  </div>`;
