/** What a chart has beside its curves: stretches of time and single points, each with a name. */
import { colour, faded } from '../lib/theme.js';
import uPlot from '../vendor/uplot.js';

const FONT_PX = 12;
const SPACE_PX = 6;

/**
 * @typedef {{from: number, to: number, tone: string, label?: string}} Band a stretch of time in ms, shaded
 * @typedef {{at: number, value: number, tone: string, label?: string, scale?: string}} Mark a point in ms and on its scale
 */

/** Shade stretches of time, under the curves. @param {Band[]} bands */
export function drawBands(plot, bands) {
  const { ctx, bbox } = plot;
  for (const { from, to, tone } of bands) {
    const left = Math.max(bbox.left, plot.valToPos(from / 1000, 'x', true));
    const right = Math.min(bbox.left + bbox.width, plot.valToPos(to / 1000, 'x', true));
    if (right <= left) continue;
    ctx.save();
    ctx.fillStyle = faded(tone, 0.1);
    ctx.fillRect(left, bbox.top, right - left, bbox.height);
    ctx.fillStyle = faded(tone, 0.7);
    ctx.fillRect(left, bbox.top, right - left, 2 * uPlot.pxRatio);
    ctx.restore();
  }
}

/** Return whether two boxes of left, top, width and height share any space. */
const overlap = (a, b) => [0, 1].every((axis) => a[axis] < b[axis] + b[axis + 2] && b[axis] < a[axis] + a[axis + 2]);

/** Draw points and write all names, over the curves. Each name stands where no other and no point does. */
export function drawNotes(plot, bands, marks) {
  const { ctx, bbox } = plot;
  const px = uPlot.pxRatio;
  const [gap, line, right] = [SPACE_PX * px, (FONT_PX + 4) * px, bbox.left + bbox.width];
  const taken = [];
  const write = (text, tone, places) => {
    const { width } = ctx.measureText(text);
    const boxes = places(width).map(([left, top]) => [
      Math.max(bbox.left, Math.min(left, right - width)), Math.max(bbox.top, Math.min(top, bbox.top + bbox.height - line)), width, line]);
    const box = boxes.find((each) => !taken.some((other) => overlap(each, other))) ?? boxes[0];
    taken.push(box);
    ctx.fillStyle = faded('surface', 0.85);
    ctx.beginPath();
    ctx.roundRect(box[0] - gap / 2, box[1], width + gap, line, gap / 2);
    ctx.fill();
    ctx.fillStyle = colour(tone);
    ctx.fillText(text, box[0], box[1] + line / 2);
  };
  const points = marks
    .map((each) => ({ ...each, x: plot.valToPos(each.at / 1000, 'x', true), y: plot.valToPos(each.value, each.scale ?? 'y', true) }))
    .filter(({ x, value }) => value !== null && x >= bbox.left && x <= right);

  ctx.save();
  ctx.setLineDash([]);
  ctx.strokeStyle = colour('surface');
  for (const { x, y, tone } of points) {
    ctx.beginPath();
    ctx.arc(x, y, 4.5 * px, 0, 2 * Math.PI);
    ctx.fillStyle = colour(tone);
    ctx.lineWidth = 2 * px;
    ctx.fill();
    ctx.stroke();
    taken.push([x - gap, y - gap, 2 * gap, 2 * gap]);
  }
  ctx.textAlign = 'left';
  ctx.textBaseline = 'middle';
  ctx.font = `600 ${FONT_PX * px}px system-ui, sans-serif`;
  for (const { x, y, tone, label } of points.filter((each) => each.label)) {
    write(label, tone, (width) => [
      ...(x + 2 * gap + width <= right ? [[x + 2 * gap, y - line / 2]] : []), [x - 2 * gap - width, y - line / 2],
      [x - width / 2, y + gap], [x - width / 2, y - gap - line]]);
  }
  for (const { from, to, label, tone } of bands.filter((each) => each.label)) {
    const left = Math.max(bbox.left, plot.valToPos(from / 1000, 'x', true)) + gap;
    if (left > right || to / 1000 <= plot.scales.x.min) continue;
    write(label, tone, () => [0, 1, 2, 3].map((row) => [left, bbox.top + gap / 2 + row * line]));
  }
  ctx.restore();
}
