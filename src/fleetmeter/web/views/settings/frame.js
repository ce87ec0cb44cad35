/** What is around the parts of the settings: the heading, and tabs for those that one may see. */
import { html } from '../../lib/html.js';
import { link, usePlace } from '../../lib/router.js';
import { can } from '../../lib/session.js';
import { t } from '../../lib/texts.js';
import { Empty } from '../../parts/states.js';

const TABS = [['keys', 'admin'], ['webhooks', 'admin'], ['rules', 'read'], ['audit', 'admin']];

/** The tabs that whoever looks may see. */
export const allowedTabs = () => TABS.filter(([, scope]) => can(scope)).map(([name]) => name);

/** @param {{children: any}} properties */
export function Frame({ children }) {
  const { path } = usePlace();
  const tabs = allowedTabs();
  const current = path.split('/')[2] ?? tabs[0];
  return html`
    <div class="view settings">
      <div class="view-head">
        <h1>${t('nav.settings')}</h1>
        <nav class="settings-tabs" aria-label=${t('nav.settings')}>
          ${tabs.map((each) => html`<a key=${each} href=${link(`/settings/${each}`)} aria-current=${each === current ? 'page' : undefined}>${t(`settings.${each}`)}</a>`)}
        </nav>
      </div>
      ${tabs.includes(current) ? children : html`<section class="panel"><${Empty} title=${t('state.forbidden')}>${t('settings.forbidden')}<//></section>`}
    </div>`;
}
