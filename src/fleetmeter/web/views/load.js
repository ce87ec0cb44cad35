/** The load of the fleet, a site or a meter by quarter hours, beside that of the week before. */
import { path } from '../lib/api.js';
import { clock, date, dayMonth, energyParts, number, power, powerParts, shareParts, weekday } from '../lib/formats.js';
import { html, useMemo } from '../lib/html.js';
import { QUARTER, quarterBefore } from '../lib/quarter_hours.js';
import { t } from '../lib/texts.js';
import { midnight } from '../lib/time.js';
import { useUrlState } from '../lib/url_state.js';
import { Chart, chartCsv } from '../parts/chart.js';
import { Segments } from '../parts/field.js';
import { Icon } from '../parts/icon.js';
import { Panel } from '../parts/panel.js';
import { Empty } from '../parts/states.js';
import { Tile } from '../parts/tile.js';
import { Days } from './load/days.js';
import { dayName, dayOf, daysOf, PERIODS, periodOf, profileOf, stepped, totalsOf } from './load/profile.js';
import { Picker } from './load/picker.js';
import { useQuarterHours } from './load/windows.js';

/** Days of one request: the accounting of a fleet's quarter hours takes the service long. */
const DAYS = { fleet: 1, site: 3, meter: 7 };
const PATHS = { fleet: () => '/v1/analytics/fleet/energy', site: (id) => path`/v1/analytics/sites/${id}/energy`, meter: (id) => path`/v1/meters/${id}/energy` };

export function Load() {
  const [chosen, choose] = useUrlState({ of: 'site', id: '', period: 'day', day: '' });
  const { of, id, period } = { ...chosen, of: chosen.of in PATHS ? chosen.of : 'site', period: PERIODS.includes(chosen.period) ? chosen.period : 'day' };
  const [from, to] = periodOf(period, dayOf(chosen.day));
  const now = quarterBefore(Date.now());
  const running = Number(to) > now;
  const ready = of === 'fleet' || id !== '';
  const until = Math.max(Math.min(Number(to), now), Number(from) + QUARTER);
  const query = useQuarterHours(ready ? PATHS[of](id) : null, Number(from), until, Number(to), DAYS[of]);
  const found = useMemo(() => {
    if (!query.data) return null;
    const { items } = query.data;
    const profile = profileOf(items, Number(from), Number(to), now);
    return { profile, totals: totalsOf(profile), days: daysOf(items, from, to, now) };
  }, [query.data, Number(from), Number(to), now]);
  const name = of === 'fleet' ? t('load.theFleet') : id;
  return html`
    <div class="view load">
      <div class="view-head">
        <h1>${t('nav.load')}</h1>
        <${Picker} of=${of} id=${id} onChange=${choose} />
      </div>
      <${Periods} ...${{ period, from, to, running, choose }} />
      ${ready ? html`
        <${Figures} totals=${found?.totals} />
        <${Profile} ...${{ query, found, period, name }} />
        <${Days} ...${{ query, found, period, name }} onOpen=${(day) => choose({ period: 'day', day })} />`
      : html`<section class="panel"><${Empty} icon="load" title=${t('load.choose')}>${t(`load.choose.${of}`)}<//></section>`}
    </div>`;
}

function Periods({ period, from, to, running, choose }) {
  const step = (by) => choose({ day: dayName(stepped(period, from, by)) });
  const last = midnight(to, -1);
  const title = period === 'day' ? weekday(from) : `${dayMonth(from)} – ${date(last)}`;
  return html`
    <div class="row">
      <${Segments} label=${t('load.period')} value=${period} onChange=${(next) => choose({ period: next })} options=${PERIODS.map((each) => [each, t(`load.period.${each}`)])} />
      <div class="row stepper">
        <button class="button icon-only" aria-label=${t('load.previous')} title=${t('load.previous')} onClick=${() => step(-1)}><${Icon} name="back" /></button>
        <input class="input" type="date" aria-label=${t('load.day')} value=${dayName(from)} max=${dayName(Date.now())} onChange=${(event) => choose({ day: event.target.value })} />
        <button class="button icon-only" aria-label=${t('load.next')} title=${t('load.next')} disabled=${running} onClick=${() => step(1)}><${Icon} name="next" /></button>
        <button class="button" disabled=${running} onClick=${() => choose({ day: '' })}>${t(`load.current.${period}`)}</button>
      </div>
      <strong class="period" aria-live="polite">${title}</strong>
    </div>`;
}

const quarterName = (at, withDay = true) => `${withDay ? `${weekday(at)}, ` : ''}${clock(at)}–${clock(at + QUARTER)}`;

function Figures({ totals }) {
  const peak = totals?.peak;
  return html`
    <div class="grid tiles">
      <${Tile} label=${t('load.peak')} tone="critical" parts=${powerParts(peak?.power)} detail=${peak ? quarterName(peak.at) : ' '} />
      <${Tile} label=${t('load.energy')} tone="ac" parts=${energyParts(totals?.energy)} detail=${t('energy.ac')} />
      <${Tile} label=${t('load.mean')} parts=${powerParts(totals?.mean)} detail=${t('load.meanDetail')} />
      <${Tile} label=${t('load.factor')} parts=${shareParts(peak?.power ? totals.mean / peak.power : null, 0)} detail=${t('load.factorDetail')} />
      <${Tile} label=${t('load.gaps')} value=${totals ? number(totals.missing) : '–'} detail=${totals ? t('load.gapsDetail', { count: number(totals.passed) }) : ' '} />
    </div>`;
}

/** What the profile is, or how far it has loaded. */
function progress({ data, done, total }) {
  if (data) return t(data.complete ? 'load.profileDetail' : 'load.beforeLoads');
  return done > 0 ? t('load.progress', { done, total }) : t('load.profileDetail');
}

function Profile({ query, found, period, name }) {
  const peak = found?.totals.peak;
  const series = found && [
    { label: t(`load.this.${period}`), tone: 'ac', draw: 'steps', format: power, values: found.profile.powers },
    { label: t('load.weekBefore'), tone: 'unattributed', draw: 'steps', dashed: true, format: power, values: found.profile.before },
  ];
  const shown = period === 'month' ? series?.slice(0, 1) : series;
  const bare = found?.profile.powers.every((each) => each === null);
  return html`
    <${Panel} title=${t('load.profile', { name })} detail=${progress(query)} query=${query} height=${340}
      csv=${() => chartCsv(`load-${name}-${dayName(found.profile.times[0])}`, found.profile.times, series)}>
      ${() => (bare && found.profile.before.every((each) => each === null)
        ? html`<${Empty} icon="load" title=${t('load.nothing')}>${t('load.nothingDetail')}<//>`
        : html`<${Chart} label=${t('load.profile', { name })} times=${found.profile.times} series=${shown} height=${320}
            marks=${peak ? [{ at: peak.at + QUARTER / 2, value: peak.power, tone: 'critical', label: `${power(peak.power)}, ${quarterName(peak.at, period !== 'day')}` }] : []} />`)}
    <//>`;
}
