/** A chart over time: uPlot in the colours of the theme, with a legend, a tooltip, and the same as a table. */
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from '../lib/html.js';
import { clock, date, dateTime, dayMonth, withoutZeros } from '../lib/formats.js';
import { useStore } from '../lib/store.js';
import { language, t } from '../lib/texts.js';
import { colour, colours, faded } from '../lib/theme.js';
import { DAY, HOUR } from '../lib/time.js';
import uPlot from '../vendor/uplot.js';
import { Dot } from './badge.js';
import { drawBands, drawNotes } from './chart_notes.js';
import { Empty } from './states.js';

const AXIS_FONT = '12px system-ui, sans-serif';
const MOST_TABLE_ROWS = 500;

/**
 * @typedef {{
 *   label: string, values: (number | null)[], tone: string, format: (value: number | null) => string,
 *   draw?: 'line' | 'area' | 'bars' | 'steps' | 'points', dashed?: boolean, scale?: string,
 * }} Series `tone`: a colour of tokens.css; `scale`: a name that series of one unit share; the second has its axis at the right
 *
 * @param {{
 *   label: string, times: (number | string)[], series: Series[], height?: number, zero?: boolean,
 *   ranges?: Record<string, [number, number]>, onSelect?: (from: number, to: number) => void,
 *   bands?: import('./chart_notes.js').Band[], marks?: import('./chart_notes.js').Mark[],
 * }} properties
 * `times`: ms or RFC 3339, ascending; a null value is a gap. `zero`: axes begin at 0. `ranges`: fixed ends by scale.
 * `onSelect`: a stretch of time was dragged over, in ms. `bands` and `marks`: stretches and points that have a name.
 */
export function Chart({ label, times, series, height = 240, zero = true, ranges = {}, onSelect, bands = [], marks = [] }) {
  const [hidden, setHidden] = useState([]);
  const [at, setAt] = useState(null);
  const ms = useMemo(() => times.map((each) => (typeof each === 'number' ? each : Date.parse(each))), [times]);
  const toggle = (name) => setHidden(hidden.includes(name) ? hidden.filter((each) => each !== name) : [...hidden, name]);
  if (!ms.length) return html`<${Empty} />`;
  const daily = ms.length > 1 && (ms.at(-1) - ms[0]) / (ms.length - 1) > 20 * HOUR;
  return html`
    <figure class="chart" aria-label=${label}>
      <div class="legend">
        ${series.map((each) => html`
          <button key=${each.label} type="button" aria-pressed=${String(!hidden.includes(each.label))} onClick=${() => toggle(each.label)}>
            <${Dot} tone=${each.tone} />${each.label}
          </button>`)}
      </div>
      <div class="chart">
        <${Plot} ...${{ ms, series, hidden, height, zero, ranges, onSelect, setAt, bands, marks }} />
        ${at && html`<${Tooltip} at=${at} title=${(daily ? date : dateTime)(ms[at.index])} series=${series.filter((each) => !hidden.includes(each.label))} />`}
      </div>
      <${AsTable} ...${{ label, ms, series, daily }} />
    </figure>`;
}

function Plot({ ms, series, hidden, height, zero, ranges, onSelect, setAt, bands, marks }) {
  const element = useRef(null);
  const plot = useRef(null);
  const drawn = useStore(colours);
  const spoken = useStore(language);
  const shape = series.map(({ label, tone, draw, dashed, scale }) => [label, tone, draw, dashed, scale].join()).join(';');
  const data = useMemo(() => [ms.map((each) => each / 1000), ...series.map((each) => each.values)], [ms, series]);

  useLayoutEffect(() => {
    const width = element.current.clientWidth || 300;
    plot.current = new uPlot(options({ series, height, width, zero, ranges, onSelect, setAt, bands, marks }), data, element.current);
    const watch = new ResizeObserver(([entry]) => plot.current.setSize({ width: Math.floor(entry.contentRect.width), height }));
    watch.observe(element.current);
    return () => {
      watch.disconnect();
      plot.current.destroy();
      setAt(null);
    };
  }, [shape, height, zero, JSON.stringify([ranges, bands, marks]), drawn, spoken]);

  useEffect(() => { if (plot.current.data !== data) plot.current.setData(data); }, [data]);
  useEffect(() => {
    series.forEach((each, index) => plot.current.setSeries(index + 1, { show: !hidden.includes(each.label) }));
  }, [hidden, shape, drawn, spoken]);
  return html`<div ref=${element} aria-hidden="true"></div>`;
}

function options({ series, height, width, zero, ranges, onSelect, setAt, bands, marks }) {
  const names = [...new Set(series.map((each) => each.scale ?? 'y'))];
  const line = colour('line');
  const ink = colour('ink-muted');
  const range = (name) => ranges[name] ?? ((plot, low, high) => uPlot.rangeNum(zero ? Math.min(0, low ?? 0) : low, zero && !(high > 0) ? 1 : high ?? 1, { min: { pad: zero ? 0 : 0.08, soft: 0, mode: zero ? 1 : 0 }, max: { pad: 0.08, soft: 0, mode: 0 } }));
  return {
    width, height, legend: { show: false }, padding: [8, names.length > 1 ? 8 : 20, 0, 0],
    cursor: { y: false, points: { size: 7 }, drag: { x: Boolean(onSelect), y: false, setScale: false } },
    scales: { x: { time: true }, ...Object.fromEntries(names.map((name) => [name, { range: range(name) }])) },
    axes: [
      { stroke: ink, font: AXIS_FONT, grid: { show: false }, ticks: { show: false }, gap: 6, size: 28, space: 64, values: timeLabels },
      ...names.slice(0, 2).map((name, index) => ({
        scale: name, side: index ? 1 : 3, stroke: ink, font: AXIS_FONT, gap: 6, size: fitted, space: 40,
        ticks: { show: false }, grid: { show: !index, stroke: line, width: 1 },
        values: (plot, values) => values.map((value) => withoutZeros(series.find((each) => (each.scale ?? 'y') === name).format(value))),
      })),
    ],
    series: [{}, ...series.map((each) => look(each))],
    hooks: {
      drawClear: [(plot) => drawBands(plot, bands)],
      draw: [(plot) => drawNotes(plot, bands, marks)],
      setCursor: [(plot) => setAt(plot.cursor.idx === null || plot.cursor.idx === undefined ? null
        : { index: plot.cursor.idx, left: plot.cursor.left + plot.over.offsetLeft, width: plot.width })],
      setSelect: [(plot) => {
        if (!onSelect || plot.select.width < 8) return;
        onSelect(plot.posToVal(plot.select.left, 'x') * 1000, plot.posToVal(plot.select.left + plot.select.width, 'x') * 1000);
        plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      }],
    },
  };
}

/** Return the width that the labels of an axis need, px. */
function fitted(plot, values, axis) {
  if (!values) return 48;
  plot.ctx.save();
  plot.ctx.font = AXIS_FONT;
  const widest = Math.max(...values.map((each) => plot.ctx.measureText(each).width));
  plot.ctx.restore();
  return Math.ceil(widest) + 14;
}

function timeLabels(plot, seconds, axis, space, step) {
  return seconds.map((each) => {
    const at = new Date(each * 1000);
    return step * 1000 >= DAY || (at.getHours() === 0 && at.getMinutes() === 0) ? dayMonth(at) : clock(at);
  });
}

function look({ label, tone, draw = 'line', dashed, scale = 'y' }) {
  const paths = { bars: uPlot.paths.bars({ size: [0.72, 28], radius: 0.15 }), steps: uPlot.paths.stepped({ align: 1 }), points: () => null };
  return {
    label, scale, stroke: colour(tone), width: draw === 'bars' ? 0 : 2, points: { show: draw === 'points', size: 8, fill: colour(tone) }, dash: dashed ? [5, 4] : undefined,
    fill: draw === 'bars' ? faded(tone, 0.85) : draw === 'line' || draw === 'points' ? undefined : faded(tone, 0.14), paths: paths[draw],
  };
}

function Tooltip({ at, title, series }) {
  const left = at.left > at.width / 2;
  const style = { transform: `translateX(${at.left + (left ? -12 : 12)}px) ${left ? 'translateX(-100%)' : ''}` };
  return html`
    <div class="tooltip" aria-hidden="true" style=${style}>
      <p>${title}</p>
      ${series.map((each) => html`<div key=${each.label}><${Dot} tone=${each.tone} />${each.label}<b>${each.format(each.values[at.index] ?? null)}</b></div>`)}
    </div>`;
}

function AsTable({ label, ms, series, daily }) {
  const [open, setOpen] = useState(false);
  const from = Math.max(0, ms.length - MOST_TABLE_ROWS);
  return html`
    <details class="chart-table" onToggle=${(event) => setOpen(event.currentTarget.open)}>
      <summary>${t('chart.table')}</summary>
      ${open && html`
        <div class="table-scroll" tabindex="0" role="region" aria-label=${label}><table class="table">
          <thead><tr><th scope="col">${t('chart.time')}</th>${series.map((each) => html`<th scope="col" class="number">${each.label}</th>`)}</tr></thead>
          <tbody>${ms.slice(from).map((each, offset) => html`
            <tr><td>${(daily ? date : dateTime)(each)}</td>${series.map((one) => html`<td class="number">${one.format(one.values[from + offset] ?? null)}</td>`)}</tr>`)}</tbody>
        </table></div>`}
    </details>`;
}

/** Return columns and rows for `csv` of a panel. */
export const chartCsv = (name, times, series) => ({
  name,
  columns: ['time', ...series.map((each) => each.label)],
  rows: times.map((at, index) => [new Date(at).toISOString(), ...series.map((each) => each.values[index])]),
});
