/** The evidence of an anomaly, drawn from the stored data around it. */
import { html, useMemo } from '../../lib/html.js';
import { together, useQuery } from '../../lib/query.js';
import { t } from '../../lib/texts.js';
import { Chart, chartCsv } from '../../parts/chart.js';
import { Panel } from '../../parts/panel.js';
import { Empty } from '../../parts/states.js';
import { DRAWINGS } from './drawings.js';

const SLOTS = ['first', 'second', 'third', 'fourth'];

export function Evidence({ anomaly }) {
  const drawing = useMemo(() => DRAWINGS[anomaly.kind]?.(anomaly, Date.now()), [anomaly.id, anomaly.detectedAt, anomaly.endedAt]);
  const asked = Object.entries(drawing?.asks ?? {});
  const queries = SLOTS.map((_, slot) => useQuery(asked[slot]?.[1][0] ?? null, asked[slot]?.[1][1], { all: true }));
  const query = together(Object.fromEntries(asked.map(([name], slot) => [name, queries[slot]])));
  const charts = useMemo(
    () => query.data && drawing.draw(Object.fromEntries(Object.entries(query.data).map(([name, { items }]) => [name, items]))),
    [drawing, ...queries.map((each) => each.data)],
  );
  if (!drawing) return html`<${Panel} title=${t('evidence.title')}><${Empty} title=${t('evidence.notDrawn')}>${t('evidence.notDrawnDetail')}<//><//>`;
  const csv = charts?.some((each) => each.times) ? () => merged(`anomaly-${anomaly.id}`, charts) : undefined;
  return html`
    <${Panel} title=${t('evidence.title')} detail=${t(drawing.text ?? `evidence.${anomaly.kind}`, drawing.words)} query=${query} csv=${csv} height=${300}>
      ${() => html`<div class="stack evidence">${charts.map((each) => html`<${Drawn} key=${each.label} chart=${each} />`)}</div>`}
    <//>`;
}

function Drawn({ chart: { table: Table, ...chart } }) {
  if (Table) return html`<${Table} />`;
  const seen = chart.series.some((each) => !each.dashed && each.values.some((value) => value !== null));
  return html`
    <div class="stack">
      <h3>${chart.label}</h3>
      ${seen ? html`<${Chart} ...${chart} />` : html`<${Empty} title=${t('evidence.noData')}>${t('evidence.noDataDetail')}<//>`}
    </div>`;
}

/** Return all charts as one file: a block of columns after the other, on the times of all. */
function merged(name, charts) {
  const drawn = charts.filter((each) => each.times);
  if (drawn.length === 1) return chartCsv(name, drawn[0].times, drawn[0].series);
  const columns = ['chart', 'series', 'time', 'value'];
  const rows = drawn.flatMap(({ label, times, series }) => series.flatMap((each) =>
    each.values.map((value, index) => [label, each.label, new Date(times[index]).toISOString(), value])));
  return { name, columns, rows };
}
