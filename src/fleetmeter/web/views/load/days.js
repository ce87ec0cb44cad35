/** Day by day: energy and highest quarter hour, against the same weekday of the week before. */
import { clock, energy, number, power, share, weekday } from '../../lib/formats.js';
import { html } from '../../lib/html.js';
import { QUARTER } from '../../lib/quarter_hours.js';
import { t } from '../../lib/texts.js';
import { Panel } from '../../parts/panel.js';
import { Empty } from '../../parts/states.js';

/** Return by which share something changed, or null where one of both is missing or incomplete. */
const change = (now, before) => (now === null || !before ? null : now / before - 1);
const signed = (value) => (value === null ? '–' : `${value > 0 ? '+' : ''}${share(value, 0)}`);

export function Days({ query, found, period, name, onOpen }) {
  const days = found ? [...found.days].reverse() : [];
  const highest = Math.max(...days.flatMap((each) => [each.energy ?? 0, each.before.energy ?? 0]));
  const csv = () => ({
    name: `days-${name}`,
    columns: [t('load.day'), 'kWh', `${t('load.weekBefore')} kWh`, `${t('load.peak')} kW`, t('load.peakAt'), `${t('load.weekBefore')} kW`, t('load.gaps')],
    rows: days.map((each) => [each.day, each.energy, each.before.energy, each.peak?.power, each.peak && new Date(each.peak.at), each.before.peak?.power, each.missing]),
  });
  return html`
    <${Panel} flush title=${t(`load.days.${period}`)} detail=${t('load.daysDetail')} query=${query} csv=${csv}>
      ${() => (days.length ? html`
        <div class="table-scroll" tabindex="0" role="region" aria-label=${t(`load.days.${period}`)}>
          <table class="table days">
            <thead><tr>
              <th scope="col">${t('load.day')}</th><th scope="col">${t('load.energy')}</th><th scope="col" class="number wide">${t('load.weekBefore')}</th>
              <th scope="col" class="number wide">${t('load.change')}</th><th scope="col" class="number">${t('load.peak')}</th><th scope="col" class="wide">${t('load.peakAt')}</th>
              <th scope="col" class="number wide">${t('load.weekBefore')}</th><th scope="col" class="number wide">${t('load.gaps')}</th>
            </tr></thead>
            <tbody>${days.map((each) => html`<${Day} key=${each.day} ...${{ each, highest, onOpen }} />`)}</tbody>
          </table>
        </div>` : html`<${Empty} icon="load" title=${t('load.nothing')} />`)}
    <//>`;
}

const Day = ({ each, highest, onOpen }) => html`
  <tr>
    <th scope="row"><button class="plain" onClick=${() => onOpen(each.day)}>${weekday(each.at)}</button></th>
    <td><span class="day-bar"><i class="tone-ac" style=${{ width: `${highest ? ((each.energy ?? 0) / highest) * 100 : 0}%` }}></i><b class="tone-unattributed" style=${{ insetInlineStart: `${highest ? ((each.before.energy ?? 0) / highest) * 100 : 0}%` }} hidden=${each.before.energy === null}></b></span>${energy(each.energy)}</td>
    <td class="number muted wide">${energy(each.before.energy)}</td>
    <td class="number wide">${signed(change(each.energy, each.before.energy))}</td>
    <td class="number"><strong>${power(each.peak?.power)}</strong></td>
    <td class="wide">${each.peak ? `${clock(each.peak.at)}–${clock(each.peak.at + QUARTER)}` : '–'}</td>
    <td class="number muted wide">${power(each.before.peak?.power)}</td>
    <td class="number wide">${each.missing ? `${number(each.missing)} / ${number(each.passed)}` : '0'}</td>
  </tr>`;
