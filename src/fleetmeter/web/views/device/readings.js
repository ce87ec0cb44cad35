/** The single readings of a device, with what corrections replaced; to correct or void one (who may). */
import { html, useState } from '../../lib/html.js';
import { path, url } from '../../lib/api.js';
import { exactTime, number } from '../../lib/formats.js';
import { useQuery } from '../../lib/query.js';
import { can } from '../../lib/session.js';
import { t } from '../../lib/texts.js';
import { DAY, rfc3339 } from '../../lib/time.js';
import { useUrlState } from '../../lib/url_state.js';
import { Badge } from '../../parts/badge.js';
import { Icon } from '../../parts/icon.js';
import { Panel } from '../../parts/panel.js';
import { Empty } from '../../parts/states.js';
import { Table, tableCsv } from '../../parts/table.js';
import { Correction } from './correction.js';
import { MEASUREMENTS } from './measurement_fields.js';

const LONGEST = 2 * DAY;

/** Return the end of a window that is short enough to list single readings. */
function lastOf({ from, to }) {
  const start = Math.max(Date.parse(from), Date.parse(to) - LONGEST);
  return { from: rfc3339(start), to, isCut: start > Date.parse(from) };
}

export function Readings({ kind, id, window }) {
  const { from, to, isCut } = lastOf(window);
  const [{ readings: order }, choose] = useUrlState({ readings: '-timestamp' });
  const [chosen, setChosen] = useState(null);
  const address = path`/v1/${`${kind}s`}/${id}/readings`;
  const query = useQuery(address, { from, to, versions: 'all', limit: 1000 }, { all: true });
  const rows = query.data?.items ?? [];
  const columns = columnsOf(kind, rows, can('operate') && setChosen);
  const all = url('/v1/export', { from: window.from, to, format: 'csv', [`${kind}Id`]: id });
  return html`
    <${Panel} flush title=${t('readings.title')} query=${query} csv=${() => tableCsv(`${id}-readings`, columns, rows)}
      detail=${isCut ? html`${t('readings.cut')} <a href=${all} download>${t('readings.export')}</a>` : null}>
      ${() => html`<${Table} label=${t('readings.title')} rows=${rows} rowKey=${(each) => each.timestamp} columns=${columns} order=${order}
        onOrder=${(next) => choose({ readings: next })} empty=${html`<${Empty} title=${t('device.nothingReported')} />`} />`}
    <//>
    ${chosen && html`<${Correction} kind=${kind} id=${id} reading=${chosen} onClose=${() => setChosen(null)}
      onDone=${() => { setChosen(null); query.reload(); }} />`}`;
}

/** Return columns for the measurements that occur. */
function columnsOf(kind, rows, onCorrect) {
  const occur = MEASUREMENTS[kind].filter(({ field }) => rows.some((each) => each[field] !== undefined && each[field] !== null));
  return [
    { key: 'timestamp', label: t('chart.time'), value: (each) => each.timestamp, sort: (each) => Date.parse(each.timestamp), cell: (each) => exactTime(each.timestamp) },
    ...occur.map(({ field, unit, digits, text }, index) => ({
      key: field, label: `${t(text)}${unit ? ` (${unit})` : ''}`, number: true, wide: index > 0, value: (each) => each[field] ?? null,
      cell: (each) => html`<span class=${each.voided ? 'voided' : ''}>${number(each[field], digits)}</span>`,
    })),
    ...(kind === 'vehicle' ? [{ key: 'meterId', label: t('devices.meter'), value: (each) => each.meterId ?? null, wide: true }] : []),
    { key: 'mark', label: t('readings.mark'), value: (each) => marksOf(each).join(' '), cell: (each) => html`<${Marks} reading=${each} />` },
    ...(onCorrect ? [{
      key: 'act', label: '', cell: (each) => html`
        <button class="button quiet small" onClick=${() => onCorrect(each)}><${Icon} name="edit" />${t('readings.correct')}</button>`,
    }] : []),
  ];
}

const marksOf = (reading) => [
  reading.voided && t('readings.voided'), !reading.voided && reading.versions?.length > 0 && t('readings.corrected'), reading.reset && t('readings.reset'),
].filter(Boolean);

function Marks({ reading }) {
  const last = reading.versions?.at(-1);
  const why = last && t('readings.by', { who: last.replacedBy, time: exactTime(last.replacedAt), reason: last.reason });
  return marksOf(reading).map((text) => html`<span key=${text} title=${why}><${Badge} tone=${reading.voided ? 'critical' : 'info'}>${text}<//></span>`);
}
