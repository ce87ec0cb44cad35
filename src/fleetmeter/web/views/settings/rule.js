/** One rule: its thresholds for the fleet, a site or a device, where each comes from, and who changed them. */
import { path } from '../../lib/api.js';
import { exactTime, number } from '../../lib/formats.js';
import { html, useState } from '../../lib/html.js';
import { useQuery } from '../../lib/query.js';
import { link } from '../../lib/router.js';
import { can } from '../../lib/session.js';
import { t } from '../../lib/texts.js';
import { useUrlState } from '../../lib/url_state.js';
import { SeverityBadge } from '../../parts/badge.js';
import { Field } from '../../parts/field.js';
import { Icon } from '../../parts/icon.js';
import { Panel } from '../../parts/panel.js';
import { Empty, Failed, Loading } from '../../parts/states.js';
import { Source, sourceOf } from '../anomalies/in_force.js';
import { aboutRule, kindName, meaningOf, threshold, Worded } from '../anomalies/words.js';
import { EditRule } from './edit_rule.js';
import { Frame } from './frame.js';

export function Rule({ kind }) {
  const [{ scope, target }, choose] = useUrlState({ scope: 'fleet', target: '' });
  const rule = path`/v1/rules/${kind}`;
  const fleet = useQuery(rule);
  const named = scope === 'fleet' || target !== '';
  const query = useQuery(named ? rule : null, scope === 'fleet' ? {} : { scope, target });
  const overrides = useQuery(`${rule}/overrides`, { limit: 1000 }, { all: true });
  const changes = useQuery(`${rule}/changes`, { limit: 100 });
  const saved = () => [fleet, query, overrides, changes].forEach((each) => each.reload());
  if (!fleet.data) return html`<${Frame}>${fleet.error ? html`<${Failed} error=${fleet.error} retry=${fleet.reload} />` : html`<${Loading} height=${400} />`}<//>`;
  const about = fleet.data;
  return html`
    <${Frame}>
      <div class="stack">
        <a class="up-link" href=${link('/settings/rules')}><${Icon} name="back" />${t('settings.rules')}</a>
        <div class="row"><h2 class="title">${kindName(kind, about.title)}</h2><${SeverityBadge} severity=${about.severity} /></div>
        <p class="lead-text"><${Worded} text=${aboutRule(about)} own=${about.description} /> <span class="muted" lang="en">${about.source}</span></p>
      </div>
      <${Place} scopes=${['fleet', ...new Set(['site', ...about.deviceKinds])]} ...${{ scope, target, choose }} />
      ${named ? html`<${Parameters} key=${`${scope} ${target}`} ...${{ query, kind, scope, target, saved }} />`
      : html`<section class="panel"><${Empty} icon="search" title=${t('rule.name', { scope: t(`scope.${scope}`) })} /></section>`}
      <div class="grid">
        <${Overrides} query=${overrides} choose=${choose} kind=${kind} />
        <${Changes} query=${changes} kind=${kind} />
      </div>
    <//>`;
}

/** Chooses the place whose thresholds are shown. */
function Place({ scopes, scope, target, choose }) {
  const [typed, setTyped] = useState(target);
  const submit = (event) => {
    event.preventDefault();
    choose({ target: typed.trim() });
  };
  return html`
    <form class="row place" onSubmit=${submit}>
      <${Field} label=${t('rule.scope')} value=${scope} options=${scopes.map((each) => [each, t(`scope.${each}`)])}
        onInput=${(next) => { setTyped(''); choose({ scope: next, target: '' }); }} />
      ${scope !== 'fleet' && html`
        <${Field} label=${t('rule.target')} value=${typed} onInput=${setTyped} required autocomplete="off" />
        <button class="button">${t('action.show')}</button>`}
    </form>`;
}

function Parameters({ query, kind, scope, target, saved }) {
  const [editing, setEditing] = useState(false);
  const name = target || t('scope.fleet');
  const columns = ['rule.parameter', 'rule.value', 'rule.from', 'rule.defaultValue', 'rule.meaning'].map((each) => t(each));
  const csv = () => ({
    name: `${kind}-${target || 'fleet'}`, columns: ['parameter', 'value', 'default', 'meaning'],
    rows: Object.entries(query.data.parameters).map(([each, value]) => [each, JSON.stringify(value), JSON.stringify(query.data.defaults[each]), meaningOf(query.data, each)]),
  });
  const actions = can('operate') && query.data && html`<button class="button" onClick=${() => setEditing(true)}><${Icon} name="edit" />${t('rule.edit')}</button>`;
  return html`
    <${Panel} flush title=${t('rule.inForce', { id: name })} detail=${t('rule.inForceDetail')} query=${query} csv=${csv} actions=${actions}>
      ${(found) => html`
        <div class="table-scroll tall" tabindex="0" role="region" aria-label=${t('rule.inForce', { id: name })}>
          <table class="table parameters">
            <thead><tr>${columns.map((each, index) => html`<th scope="col" class=${index === 1 || index === 3 ? 'number' : ''}>${each}</th>`)}</tr></thead>
            <tbody>${Object.entries(found.parameters).map(([each, value]) => html`
              <tr key=${each}>
                <th scope="row"><code>${each}</code></th>
                <td class="number"><strong>${threshold(each, value)}</strong></td>
                <td><${Source} source=${sourceOf(found, each)} /></td>
                <td class="number muted wide">${threshold(each, found.defaults[each])}</td>
                <td class="muted meaning"><${Worded} text=${meaningOf(found, each)} own=${found.schema.properties[each].description} /></td>
              </tr>`)}</tbody>
          </table>
        </div>`}
    <//>
    ${editing && html`<${EditRule} rule=${query.data} ...${{ scope, target }} onSaved=${saved} onClose=${() => setEditing(false)} />`}`;
}

const listed = (parameters) => Object.entries(parameters).map(([name, value]) => `${name} ${threshold(name, value)}`).join(', ') || '–';

const Overrides = ({ query, choose, kind }) => html`
  <${Panel} flush title=${t('rule.overrides')} detail=${t('rule.overridesDetail')} query=${query} csv=${() => ({
    name: `${kind}-overrides`, columns: ['scope', 'target', 'parameters', 'changedBy', 'changedAt'],
    rows: query.data.items.map((each) => [each.scope, each.target, JSON.stringify(each.parameters), each.changedBy, each.changedAt]),
  })}>
    ${({ items }) => (items.length ? html`
      <ul class="entry-list">${items.map((each) => html`
        <li key=${`${each.scope} ${each.target}`}>
          <p><button class="plain" onClick=${() => choose({ scope: each.scope, target: each.target ?? '' })}>${t(`scope.${each.scope}`)} ${each.target ?? ''}</button></p>
          <p>${listed(each.parameters)}</p>
          <p class="muted small">${each.changedBy} · ${exactTime(each.changedAt)}</p>
        </li>`)}</ul>` : html`<${Empty} title=${t('rule.noOverrides')}>${t('rule.noOverridesDetail')}<//>`)}
  <//>`;

const Changes = ({ query, kind }) => html`
  <${Panel} flush title=${t('rule.changes')} detail=${query.data?.nextCursor && t('anomaly.more', { count: number(query.data.items.length) })} query=${query} csv=${() => ({
    name: `${kind}-changes`, columns: ['changedAt', 'changedBy', 'scope', 'target', 'parameters', 'replaced', 'note'],
    rows: query.data.items.map((each) => [each.changedAt, each.changedBy, each.scope, each.target, JSON.stringify(each.parameters), JSON.stringify(each.replaced), each.note]),
  })}>
    ${({ items }) => (items.length ? html`
      <ul class="entry-list">${items.map((each) => html`
        <li key=${each.id}>
          <p><strong>${t(`scope.${each.scope}`)} ${each.target ?? ''}</strong></p>
          <p>${each.replaced && html`<s class="muted">${listed(each.replaced)}</s> → `}${listed(each.parameters)}</p>
          ${each.note && html`<p class="quoted-note">${each.note}</p>`}
          <p class="muted small">${each.changedBy} · ${exactTime(each.changedAt)}</p>
        </li>`)}</ul>` : html`<${Empty} title=${t('rule.noChanges')} />`)}
  <//>`;
