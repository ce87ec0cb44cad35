/** Points of two measures, one against the other, as SVG. */
import { html, useLayoutEffect, useRef, useState } from '../lib/html.js';

const LEFT = 52;
const BOTTOM = 40;
const TOP = 10;
const RIGHT = 24;
const TICKS = 5;

/**
 * @typedef {{label: string, format: (value: number, digits: number) => string, range?: [number, number]}} Axis
 * @param {{
 *   label: string, x: Axis, y: Axis, tone: string, height?: number,
 *   points: {x: number, y: number, title: string}[], line?: {y: number, label: string},
 * }} properties
 * `format` gets the digits that tell ticks apart. `line`: a level to compare with. A point shows its `title` under the pointer.
 */
export function Scatter({ label, x, y, tone, height = 240, points, line }) {
  const element = useRef(null);
  const [width, setWidth] = useState(480);
  useLayoutEffect(() => {
    const watch = new ResizeObserver(([entry]) => setWidth(Math.floor(entry.contentRect.width)));
    watch.observe(element.current);
    return () => watch.disconnect();
  }, []);
  const xs = ticks(...(x.range ?? [0, Math.max(...points.map((each) => each.x))]));
  const ys = ticks(...(y.range ?? spread(points.map((each) => each.y))));
  const toX = scale(xs, LEFT, width - RIGHT);
  const toY = scale(ys, height - BOTTOM, TOP);
  return html`
    <div ref=${element} class=${`scatter tone-${tone}`}>
      <svg width=${width} height=${height} role="img" aria-label=${label}>
        ${ys.map((value) => html`<g key=${`y${value}`}><line x1=${LEFT} x2=${width - RIGHT} y1=${toY(value)} y2=${toY(value)} />
          <text x=${LEFT - 8} y=${toY(value)} dy="0.32em" text-anchor="end">${y.format(value, digitsOf(ys))}</text></g>`)}
        ${xs.map((value) => html`<text key=${`x${value}`} x=${toX(value)} y=${height - BOTTOM + 18} text-anchor="middle">${x.format(value, digitsOf(xs))}</text>`)}
        <text x=${(LEFT + width - RIGHT) / 2} y=${height - 4} text-anchor="middle">${x.label}</text>
        ${points.map((each, index) => html`<circle key=${index} cx=${toX(each.x)} cy=${toY(each.y)} r="4"><title>${each.title}</title></circle>`)}
        ${line && line.y >= ys[0] && line.y <= ys.at(-1) && html`<g class="level-line"><line x1=${LEFT} x2=${width - RIGHT} y1=${toY(line.y)} y2=${toY(line.y)} />
          <text x=${width - RIGHT} y=${toY(line.y) - 6} text-anchor="end">${line.label}</text></g>`}
      </svg>
    </div>`;
}

const scale = (values, from, to) => {
  const span = values.at(-1) - values[0] || 1;
  return (value) => from + ((value - values[0]) / span) * (to - from);
};

/** Return how many digits tell neighbouring values apart. */
const digitsOf = ([first, second]) => Math.max(0, -Math.floor(Math.log10(second - first) + 1e-9));

/** Return the range of values with some air, so that points do not stand on the edge. */
function spread(values) {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const air = (high - low) * 0.1 || Math.abs(high) * 0.05 || 1;
  return [low < 0 ? low - air : Math.max(0, low - air), high + air];
}

/** Return round values from below the lowest to above the highest. */
function ticks(low, high) {
  const raw = (high - low || 1) / TICKS;
  const magnitude = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((each) => each * magnitude >= raw) * magnitude;
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  return Array.from({ length: last - first + 1 }, (_, index) => Number(((first + index) * step).toPrecision(12)));
}
