/** A flow from left to right: bands as high as what flows through them. On a narrow screen the figures stand below it. */
import { html, useLayoutEffect, useMemo, useRef, useState } from '../lib/html.js';
import { Dot } from './badge.js';

const NODE_PX = 12;
const GAP_PX = 18;
const HEAD_PX = 44;
const FOOT_PX = 20;
const LABEL_PX = 42;
const LEFT_PX = 132;
const RIGHT_PX = 172;
const NARROW_PX = 620;
const LEAST_PX = 2;

/**
 * @typedef {{id: string, column: number, label: string, tone: string, figure: string, detail?: string}} Node
 * @typedef {{from: string, to: string, value: number, tone: string}} Link
 * @param {{label: string, nodes: Node[], links: Link[], height?: number}} properties
 * A node is as large as the larger of what flows in and out. `figure` is its value with its unit.
 */
export function Sankey({ label, nodes, links, height = 320 }) {
  const element = useRef(null);
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const watch = new ResizeObserver(([entry]) => setWidth(Math.floor(entry.contentRect.width)));
    watch.observe(element.current);
    return () => watch.disconnect();
  }, []);
  const narrow = width < NARROW_PX;
  const tall = narrow ? Math.round(height * 0.66) : height;
  const drawn = useMemo(() => width > 0 && layout(nodes, links, width, tall, narrow), [nodes, links, width, tall]);
  return html`
    <figure class="sankey" ref=${element} aria-label=${label}>
      ${drawn && html`
        <svg width=${width} height=${tall} aria-hidden="true">
          ${drawn.bands.map((each) => html`<path key=${`${each.from} ${each.to}`} class=${`band tone-${each.tone}`} d=${each.path} />`)}
          ${drawn.boxes.map((each) => html`<${Box} key=${each.id} box=${each} narrow=${narrow} />`)}
        </svg>`}
      <dl class=${narrow ? 'sankey-figures' : 'hidden-visually'}>
        ${nodes.map((each) => html`
          <div key=${each.id}>
            <dt><${Dot} tone=${each.tone} />${each.label}</dt>
            <dd>${each.figure}${each.detail && html`<span>${each.detail}</span>`}</dd>
          </div>`)}
      </dl>
    </figure>`;
}

/** A node with its figure beside it: at the left, at the right, in the middle above the first and below the others. */
function Box({ box, narrow }) {
  const middle = box.y + box.height / 2;
  const [x, y, anchor] = box.place === 'left' ? [box.x - 12, middle - 8, 'end']
    : box.place === 'right' ? [box.x + NODE_PX + 12, middle - 8, 'start'] : [box.x + NODE_PX / 2, box.place === 'above' ? box.y - 26 : box.y + box.height + 18, 'middle'];
  return html`
    <rect class=${`node tone-${box.tone}`} x=${box.x} y=${box.y} width=${NODE_PX} height=${box.height} rx="3" />
    ${!narrow && html`
      <text x=${x} y=${y} text-anchor=${anchor}>
        <tspan class="name">${box.label}</tspan>
        <tspan class="figure" x=${x} dy="18">${box.figure}</tspan>
        ${box.detail && anchor !== 'middle' && html`<tspan class="detail" dx="6">${box.detail}</tspan>`}
      </text>`}`;
}

/** Return where nodes and bands are, px. */
function layout(nodes, links, width, height, narrow) {
  const size = new Map(nodes.map(({ id }) => [id, Math.max(sum(links, 'from', id), sum(links, 'to', id))]));
  const last = Math.max(...nodes.map((each) => each.column));
  const columns = Array.from({ length: last + 1 }, (_, index) => nodes.filter((each) => each.column === index));
  const [left, right, head, step] = narrow ? [0, 0, 4, 0] : [LEFT_PX, RIGHT_PX, HEAD_PX, LABEL_PX];
  const room = height - head - FOOT_PX;
  const high = (node, scale) => Math.max(LEAST_PX, size.get(node.id) * scale);
  const advance = (node, scale) => Math.max(high(node, scale) + GAP_PX, step);
  const whole = (among, scale) => total(among.map((node) => advance(node, scale))) - GAP_PX;
  let scale = room / Math.max(...size.values());
  while (columns.some((among) => whole(among, scale) > room) && scale * Math.max(...size.values()) > 1) scale *= 0.96;
  // a band that passes a column goes below it
  const passes = links.some((each) => column(nodes, each.to) - column(nodes, each.from) > 1);
  const boxes = new Map();
  for (const [index, among] of columns.entries()) {
    let y = head + (passes ? 0 : Math.max(0, (room - whole(among, scale)) / 2));
    for (const node of among) {
      const place = index === 0 ? 'left' : index === last ? 'right' : node === among[0] ? 'above' : 'below';
      const x = left + ((width - left - right - NODE_PX) * index) / Math.max(1, last);
      boxes.set(node.id, { ...node, x, y, height: high(node, scale), out: y, into: y, place });
      y += advance(node, scale);
    }
  }
  return { boxes: [...boxes.values()], bands: links.map((each) => band(each, boxes, scale)) };
}

const column = (nodes, id) => nodes.find((each) => each.id === id).column;
const total = (values) => values.reduce((before, value) => before + value, 0);
const sum = (links, end, id) => total(links.filter((each) => each[end] === id).map((each) => each.value));

function band({ from, to, value, tone }, boxes, scale) {
  const [start, end] = [boxes.get(from), boxes.get(to)];
  const high = Math.max(1, value * scale);
  const [x1, y1, x2, y2] = [start.x + NODE_PX, start.out, end.x, end.into];
  start.out += value * scale;
  end.into += value * scale;
  const bend = (x1 + x2) / 2;
  const path = `M${x1} ${y1}C${bend} ${y1} ${bend} ${y2} ${x2} ${y2}V${y2 + high}C${bend} ${y2 + high} ${bend} ${y1 + high} ${x1} ${y1 + high}Z`;
  return { from, to, tone, path };
}
