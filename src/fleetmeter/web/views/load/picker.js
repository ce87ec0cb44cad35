/** Chooses whose load is shown: the fleet's, a site's or a meter's. */
import { html, useEffect, useId, useState } from '../../lib/html.js';
import { together, useQuery } from '../../lib/query.js';
import { t } from '../../lib/texts.js';
import { DAY, HOUR, rfc3339 } from '../../lib/time.js';
import { Segments } from '../../parts/field.js';

const KINDS = ['site', 'meter', 'fleet'];

/**
 * @param {{of: string, id: string, onChange: (part: {of?: string, id: string}) => void, onNone: (error: any) => void}} properties
 * `onNone`: there is nothing to choose, since none has reported (null), or for an error
 */
export const Picker = ({ of, id, onChange, onNone }) => html`
  <div class="row picker">
    <${Segments} label=${t('load.of')} value=${of} onChange=${(next) => onChange({ of: next, id: '' })} options=${KINDS.map((each) => [each, t(`load.of.${each}`)])} />
    ${of === 'site' && html`<${Sites} ...${{ id, onChange, onNone }} />`}
    ${of === 'meter' && html`<${Meters} ...${{ id, onChange, onNone }} />`}
  </div>`;

/** Choose the first of what a query found, where nothing is chosen. */
function useFirst(query, id, names, { onChange, onNone }) {
  useEffect(() => {
    if (id || !(query.data || query.error)) return;
    if (names.length) onChange({ id: names[0] });
    else onNone(query.error);
  }, [query.data, query.error, id]);
}

function Sites({ id, ...told }) {
  const [from] = useState(() => rfc3339(Math.floor(Date.now() / HOUR) * HOUR - DAY));
  const sites = together({
    chargers: useQuery('/v1/analytics/sites', { from, limit: 1000 }, { all: true }),
    supply: useQuery('/v1/analytics/supply', { from, limit: 1000 }, { all: true }), // some have no chargers
  });
  const { chargers, supply } = sites.data ?? { chargers: { items: [] }, supply: { items: [] } };
  const found = [...chargers.items, ...supply.items.filter((each) => each.grid)].map((each) => each.site).filter(Boolean);
  const names = [...new Set(found)].sort((one, other) => one.localeCompare(other));
  useFirst(sites, id, names, told);
  const options = id && !names.includes(id) ? [id, ...names] : names;
  return html`
    <select class="input" aria-label=${t('load.of.site')} value=${id} onChange=${(event) => told.onChange({ id: event.target.value })}>
      ${options.map((each) => html`<option key=${each} value=${each} selected=${each === id}>${each}</option>`)}
    </select>`;
}

function Meters({ id, ...told }) {
  const list = useId();
  const meters = useQuery('/v1/meters', { limit: 1000 }, { all: true });
  const items = meters.data?.items ?? [];
  useFirst(meters, id, items.map((each) => each.meterId), told);
  return html`
    <input class="input" list=${list} aria-label=${t('load.of.meter')} placeholder=${t('load.of.meter')} value=${id} key=${id}
      onChange=${(event) => told.onChange({ id: event.target.value.trim() })} />
    <datalist id=${list}>${items.map((each) => html`<option key=${each.meterId} value=${each.meterId}>${each.label ?? ''}</option>`)}</datalist>`;
}
