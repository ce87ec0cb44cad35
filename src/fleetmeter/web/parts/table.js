/** A table that draws only the rows in sight, so that 10,000 are as fast as ten. */
import { html, useLayoutEffect, useMemo, useRef, useState } from '../lib/html.js';
import { number } from '../lib/formats.js';
import { t } from '../lib/texts.js';

const ROW_PX = 44;
const HEAD_PX = 36;
const SPARE_ROWS = 6;

const words = new Intl.Collator(undefined, { numeric: true }); // localeCompare would make one for each comparison

const compare = (left, right) => {
  if (left === right) return 0;
  if (left === null || left === undefined) return 1;
  if (right === null || right === undefined) return -1;
  return typeof left === 'string' ? words.compare(left, right) : left < right ? -1 : 1;
};

/**
 * Return rows in the order of a column (`name`, or `-name` from the largest); missing values come last.
 * Rows that are nearly in order already are sorted in a fraction of the time.
 */
export function sorted(rows, columns, order) {
  const descending = order?.startsWith('-');
  const column = columns.find((each) => each.key === (descending ? order.slice(1) : order));
  if (!column?.value) return rows;
  const by = column.sort ?? column.value;
  const keyed = rows.map((row) => [by(row), row]);
  const known = ([value]) => value !== null && value !== undefined;
  const turned = (one, other) => (descending && known(one) && known(other) ? -1 : 1) * compare(one[0], other[0]);
  return keyed.sort(turned).map(([, row]) => row);
}

/**
 * @template Row
 * @param {{
 *   label: string, rows: Row[], rowKey: (row: Row) => string, empty?: any, height?: string,
 *   columns: {
 *     key: string, label: string, cell?: (row: Row) => any, value?: (row: Row) => any, sort?: (row: Row) => any,
 *     number?: boolean, wide?: boolean, onlyCsv?: boolean,
 *   }[],
 *   order?: string, onOrder?: (order: string) => void, onOpen?: (row: Row) => void, foot?: boolean,
 * }} properties
 * `value` is what CSV has, and what is sorted by without a `sort`; `cell` is what is shown (`value` without it); `wide`:
 * not on phones. `onOpen`: by click or Enter. Arrows, Page Up and Down, Home and End move between rows. Changed `rows`
 * must be a new array. `foot`: how many rows there are.
 */
export function Table({ label, rows, rowKey, columns: all, empty, height, order, onOrder, onOpen, foot = true }) {
  const scroll = useRef(null);
  const [top, setTop] = useState(0);
  const [seenPx, setSeenPx] = useState(600);
  const [active, setActive] = useState(0);
  const columns = all.filter((column) => !column.onlyCsv);
  const places = useRef(new Map());
  const ordered = useMemo(() => {
    const found = sorted(asBefore(rows, rowKey, places.current), columns, order);
    places.current = new Map(found.map((row, index) => [rowKey(row), index]));
    return found;
  }, [rows, order]);

  useLayoutEffect(() => {
    const watch = new ResizeObserver(([entry]) => setSeenPx(entry.contentRect.height));
    if (scroll.current) watch.observe(scroll.current);
    return () => watch.disconnect();
  }, [rows.length === 0]);

  if (!rows.length && empty) return empty;
  const first = Math.max(0, Math.min(Math.floor(top / ROW_PX), ordered.length - 1) - SPARE_ROWS);
  const last = Math.min(ordered.length, first + Math.ceil(seenPx / ROW_PX) + 2 * SPARE_ROWS);
  const current = Math.min(active, ordered.length - 1);
  const move = (event) => {
    const to = moved(event.key, current, ordered.length, Math.floor(seenPx / ROW_PX) - 1);
    if (event.key === 'Enter' && onOpen && event.target.tagName === 'TR') onOpen(ordered[current]);
    if (to === null) return;
    event.preventDefault();
    setActive(to);
    show(scroll.current, to);
    requestAnimationFrame(() => scroll.current?.querySelector(`[aria-rowindex="${to + 2}"]`)?.focus({ preventScroll: true }));
  };
  return html`
    <div class="table-scroll" ref=${scroll} style=${height && { '--table-height': height }} onScroll=${(event) => setTop(event.currentTarget.scrollTop)}>
      <table class="table" aria-label=${label} aria-rowcount=${ordered.length + 1}>
        <thead><tr aria-rowindex="1">${columns.map((column) => html`<${Head} key=${column.key} ...${{ column, order, onOrder }} />`)}</tr></thead>
        <tbody onKeyDown=${move}>
          <${Spacer} rows=${first} columns=${columns.length} />
          ${ordered.slice(first, last).map((row, offset) => html`
            <tr key=${rowKey(row)} aria-rowindex=${first + offset + 2} tabindex=${onOpen ? (first + offset === current ? 0 : -1) : undefined}
              class=${onOpen ? 'can-open' : ''} onFocus=${() => setActive(first + offset)} onClick=${onOpen && ((event) => !event.target.closest('a, button') && onOpen(row))}>
              ${columns.map((column) => html`<td key=${column.key} class=${classOf(column)}>${(column.cell ?? column.value)(row)}</td>`)}
            </tr>`)}
          <${Spacer} rows=${ordered.length - last} columns=${columns.length} />
        </tbody>
      </table>
    </div>
    ${foot && html`<p class="table-foot">${t('table.rows', { count: ordered.length, shown: number(ordered.length) })}</p>`}`;
}

const classOf = ({ number: isNumber, wide }) => [isNumber && 'number', wide && 'wide'].filter(Boolean).join(' ');

/** Return rows in the places they had, and new ones behind them: what hardly changes is then sorted in one pass. */
function asBefore(rows, rowKey, places) {
  const placed = new Array(places.size);
  const fresh = [];
  for (const row of rows) {
    const place = places.get(rowKey(row));
    if (place === undefined) fresh.push(row);
    else placed[place] = row;
  }
  return [...placed.filter(Boolean), ...fresh];
}

/** Return columns and rows for `csv` of a panel. */
export const tableCsv = (name, columns, rows) => {
  const kept = columns.filter((each) => each.value);
  return { name, columns: kept.map((each) => each.label), rows: rows.map((row) => kept.map((each) => each.value(row))) };
};

function Head({ column, order, onOrder }) {
  const up = order === column.key;
  const down = order === `-${column.key}`;
  const sort = up ? 'ascending' : down ? 'descending' : undefined;
  const turned = up ? `-${column.key}` : down || !column.number ? column.key : `-${column.key}`;
  return html`
    <th scope="col" class=${classOf(column)} aria-sort=${sort}>
      ${onOrder && column.value ? html`<button onClick=${() => onOrder(turned)}>${column.label}</button>` : column.label}
    </th>`;
}

const Spacer = ({ rows, columns }) =>
  rows > 0 && html`<tr class="spacer" aria-hidden="true"><td colspan=${columns} style=${{ '--height': `${rows * ROW_PX}px` }}></td></tr>`;

function moved(key, current, count, page) {
  const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -count, End: count };
  return key in steps ? Math.max(0, Math.min(count - 1, current + steps[key])) : null;
}

function show(element, row) {
  const above = row * ROW_PX;
  const below = above + ROW_PX + HEAD_PX - element.clientHeight;
  if (element.scrollTop > above) element.scrollTop = above;
  else if (element.scrollTop < below) element.scrollTop = below;
}
