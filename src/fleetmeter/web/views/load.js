/** The load of the fleet, a site or a meter by quarter hours, beside that of the week before. */
import { clock, date, dayMonth, energyParts, number, power, powerParts, shareParts, weekday } from '../lib/formats.js';
import { html, useMemo, useState } from '../lib/html.js';
import { QUARTER, quarterBefore } from '../lib/quarter_hours.js';
import { useQuery } from '../lib/query.js';
import { t } from '../lib/texts.js';
import { MINUTE, midnight, rfc3339 } from '../lib/time.js';
import { useUrlState } from '../lib/url_state.js';
import { Chart, chartCsv } from '../parts/chart.js';
import { Segments } from '../parts/field.js';
import { Icon } from '../parts/icon.js';
import { Panel } from '../parts/panel.js';
import { Empty, Failed, Loading } from '../parts/states.js';
import { Tile } from '../parts/tile.js';
import { Days } from './load/days.js';
import { Picker } from './load/picker.js';
import { dayName, dayOf, daysOf, PERIODS, periodOf, profileOf, stepped, totalsOf, weekBefore } from './load/profile.js';

const KINDS = ['site', 'meter', 'fleet'];
const MEASURED = ['grid', 'chargers'];

export function Load() {
  const [chosen, choose] = useUrlState({ of: 'site', id: '', measured: '', period: 'day', day: '' });
  const among = (name, known) => (known.includes(chosen[name]) ? chosen[name] : known[0]);
  const [of, period, measured] = [among('of', KINDS), among('period', PERIODS), among('measured', ['', ...MEASURED])];
  const { id, day } = chosen;
  const [none, setNone] = useState({});
  const [from, to] = periodOf(period, dayOf(day));
  const now = quarterBefore(Date.now());
  const running = Number(to) > now;
  return html`
    <div class="view load">
      <div class="view-head">
        <h1>${t('nav.load')}</h1>
        <${Picker} of=${of} id=${id} onChange=${(part) => choose({ measured: '', ...part })} onNone=${(error) => setNone({ of, error })} />
      </div>
      <${Periods} ...${{ period, from, to, running, choose }} />
      ${of === 'fleet' || id
        ? html`<${Shown} key=${[of, id, measured, Number(from), period].join()} ...${{ of, id, measured, period, from: Number(from), to: Number(to), now, choose }} />`
        : html`<section class="panel">${none.of !== of ? html`<${Loading} height=${340} />` : none.error ? html`<${Failed} error=${none.error} />`
          : html`<${Empty} icon="load" title=${t('load.choose')}>${t(`load.choose.${of}`)}<//>`}</section>`}
    </div>`;
}

/** One request for the period and the week before it, of which only quarter hours that are over count. */
function Shown({ of, id, measured, period, from, to, now, choose }) {
  const until = Math.max(Math.min(to, now), from + QUARTER);
  const query = useQuery('/v1/analytics/load', {
    site: of === 'site' ? id : '', meterId: of === 'meter' ? id : '', measured, from: rfc3339(weekBefore(from)), to: rfc3339(until),
  }, { refreshMs: to > now ? MINUTE : 0, maxAgeS: 15 });
  const found = useMemo(() => {
    if (!query.data) return null;
    const { buckets } = query.data;
    const profile = profileOf(buckets, from, to, now);
    return { profile, totals: totalsOf(profile), days: daysOf(buckets, from, to, now), measured: query.data.measured };
  }, [query.data, now]);
  const name = of === 'fleet' ? t('load.theFleet') : id;
  return html`
    <${Figures} ...${found} />
    <${Profile} ...${{ query, found, period, name, choose: of === 'site' && (measured || found?.measured === 'grid') ? choose : null }} />
    <${Days} ...${{ query, found, period, name }} onOpen=${(day) => choose({ period: 'day', day })} />`;
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

function Figures({ totals, measured }) {
  const peak = totals?.peak;
  return html`
    <div class="grid tiles">
      <${Tile} label=${t('load.peak')} tone="critical" parts=${powerParts(peak?.power)} detail=${peak ? quarterName(peak.at) : ' '} />
      <${Tile} label=${t('load.energy')} tone="ac" parts=${energyParts(totals?.energy)} detail=${t(measured ? `load.measured.${measured}` : 'energy.ac')} />
      <${Tile} label=${t('load.mean')} parts=${powerParts(totals?.mean)} detail=${t('load.meanDetail')} />
      <${Tile} label=${t('load.factor')} parts=${shareParts(peak?.power ? totals.mean / peak.power : null, 0)} detail=${t('load.factorDetail')} />
      <${Tile} label=${t('load.gaps')} value=${totals ? number(totals.missing) : '–'} detail=${totals ? t('load.gapsDetail', { count: number(totals.passed) }) : ' '} />
    </div>`;
}

function Profile({ query, found, period, name, choose }) {
  const peak = found?.totals.peak;
  const series = found && [
    { label: t(`load.this.${period}`), tone: 'ac', draw: 'steps', format: power, values: found.profile.powers },
    { label: t('load.weekBefore'), tone: 'unattributed', draw: 'steps', dashed: true, format: power, values: found.profile.before },
  ];
  const shown = period === 'month' ? series?.slice(0, 1) : series;
  const bare = found?.profile.powers.every((each) => each === null);
  return html`
    <${Panel} title=${t('load.profile', { name })} detail=${t('load.profileDetail')} query=${query} height=${340}
      actions=${choose && found && html`<${Segments} label=${t('load.measured')} value=${found.measured} onChange=${(next) => choose({ measured: next })} options=${MEASURED.map((each) => [each, t(`load.measured.${each}`)])} />`}
      csv=${() => chartCsv(`load-${name}-${dayName(found.profile.times[0])}`, found.profile.times, series)}>
      ${() => (bare && found.profile.before.every((each) => each === null)
        ? html`<${Empty} icon="load" title=${t('load.nothing')}>${t('load.nothingDetail')}<//>`
        : html`<${Chart} label=${t('load.profile', { name })} times=${found.profile.times} series=${shown} height=${320}
            marks=${peak ? [{ at: peak.at + QUARTER / 2, value: peak.power, tone: 'critical', label: `${power(peak.power)}, ${quarterName(peak.at, period !== 'day')}` }] : []} />`)}
    <//>`;
}
