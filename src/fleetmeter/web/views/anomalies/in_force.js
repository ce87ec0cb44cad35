/** The thresholds that a rule has for a device, and where each comes from. */
import { path } from '../../lib/api.js';
import { html } from '../../lib/html.js';
import { useQuery } from '../../lib/query.js';
import { link } from '../../lib/router.js';
import { t } from '../../lib/texts.js';
import { Badge } from '../../parts/badge.js';
import { Icon } from '../../parts/icon.js';
import { Panel } from '../../parts/panel.js';
import { aboutRule, meaningOf, threshold, Worded } from './words.js';

/** Return the widest-to-narrowest place that a parameter comes from: an override, or null for the default. */
export const sourceOf = (rule, name) => rule.overrides.findLast((each) => name in each.parameters) ?? null;

/** Where a threshold was set. @param {{source: {scope: string, target: string | null} | null}} properties null: the default */
export const Source = ({ source }) => (source
  ? html`<${Badge} tone="accent">${t(`scope.${source.scope}`)}${source.target ? ` ${source.target}` : ''}<//>`
  : html`<${Badge}>${t('rule.default')}<//>`);

export function InForce({ anomaly }) {
  const rule = path`/v1/rules/${anomaly.kind}`;
  const own = useQuery(rule, { scope: anomaly.deviceKind, target: anomaly.deviceId });
  const gone = own.error?.status === 404; // of a device that was never accepted, the fleet's
  const fleet = useQuery(gone ? rule : null);
  const query = gone ? fleet : own;
  const columns = ['rule.parameter', 'rule.value', 'rule.from', 'rule.meaning'].map((each) => t(each));
  const csv = () => ({
    name: `${anomaly.kind}-${anomaly.deviceId}`, columns,
    rows: Object.entries(query.data.parameters).map(([name, value]) => [name, JSON.stringify(value), placeOf(query.data, name), meaningOf(query.data, name)]),
  });
  const actions = html`<a class="button quiet small" href=${link('/settings/rules', anomaly.kind)}><${Icon} name="settings" />${t('rule.open')}</a>`;
  return html`
    <${Panel} flush title=${t('rule.inForce', { id: anomaly.deviceId })} detail=${gone ? t('rule.fleetOnly') : t('rule.inForceDetail')} query=${query} csv=${csv} actions=${actions}>
      ${(found) => html`
        <p class="about"><${Worded} text=${aboutRule(found)} own=${found.description} /> <span lang="en">${found.source}</span></p>
        <div class="table-scroll tall" tabindex="0" role="region" aria-label=${t('rule.inForce', { id: anomaly.deviceId })}>
          <table class="table parameters">
            <thead><tr>${columns.map((each, index) => html`<th scope="col" class=${index === 1 ? 'number' : ''}>${each}</th>`)}</tr></thead>
            <tbody>${Object.entries(found.parameters).map(([name, value]) => html`
              <tr key=${name}>
                <th scope="row"><code>${name}</code></th>
                <td class="number">${threshold(name, value)}</td>
                <td><${Source} source=${sourceOf(found, name)} /></td>
                <td class="muted meaning"><${Worded} text=${meaningOf(found, name)} own=${found.schema.properties[name].description} /></td>
              </tr>`)}</tbody>
          </table>
        </div>`}
    <//>`;
}

const placeOf = (rule, name) => {
  const source = sourceOf(rule, name);
  return source ? [source.scope, source.target].filter(Boolean).join(' ') : 'default';
};
