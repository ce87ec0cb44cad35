/** The settings without a part in the address: the first that one may see. */
import { html } from '../../lib/html.js';
import { t } from '../../lib/texts.js';
import { Empty } from '../../parts/states.js';
import { allowedTabs } from './frame.js';
import { KeySettings } from './keys.js';
import { RuleSettings } from './rules.js';

export function Settings() {
  const [first] = allowedTabs();
  if (!first) return html`<${Empty} title=${t('state.forbidden')}>${t('settings.forbidden')}<//>`;
  return first === 'keys' ? html`<${KeySettings} />` : html`<${RuleSettings} />`;
}
