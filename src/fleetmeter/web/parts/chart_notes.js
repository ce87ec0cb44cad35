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

/** Name stretches of time, over the curves. @param {Band[]} bands */
export function nameBands(plot, bands) {
  const { ctx, bbox } = plot;
  for (const { from, label, tone } of bands.filter((each) => each.label && each.to / 1000 > plot.scales.x.min)) {
    const left = Math.max(bbox.left, plot.valToPos(from / 1000, 'x', true)) + SPACE_PX * uPlot.pxRatio;
    ctx.save();
    write(plot, label, left, bbox.top + (FONT_PX + SPACE_PX) * uPlot.pxRatio, tone);
    ctx.restore();
  }
}

/** Draw points, over the curves. @param {Mark[]} marks */
export function drawMarks(plot, marks) {
  const { ctx } = plot;
  for (const { at, value, tone, label, scale = 'y' } of marks) {
    const x = plot.valToPos(at / 1000, 'x', true);
    const y = plot.valToPos(value, scale, true);
    ctx.save();
    ctx.setLineDash([]);
    ctx.beginPath();
    ctx.arc(x, y, 4.5 * uPlot.pxRatio, 0, 2 * Math.PI);
    ctx.fillStyle = colour(tone);
    ctx.strokeStyle = colour('surface');
    ctx.lineWidth = 2 * uPlot.pxRatio;
    ctx.fill();
    ctx.stroke();
    if (label) write(plot, label, x + 2 * SPACE_PX * uPlot.pxRatio, y + 4 * uPlot.pxRatio, tone);
    ctx.restore();
  }
}

/** Write a name from a point on, or up to it where there is no room. */
function write({ ctx, bbox }, text, left, baseline, tone) {
  const right = bbox.left + bbox.width;
  ctx.setLineDash([]);
  ctx.textAlign = 'left';
  ctx.textBaseline = 'alphabetic';
  ctx.font = `600 ${FONT_PX * uPlot.pxRatio}px system-ui, sans-serif`;
  const { width } = ctx.measureText(text);
  const start = left + width <= right ? left : Math.max(bbox.left, Math.min(left - width - 4 * SPACE_PX * uPlot.pxRatio, right - width));
  ctx.lineJoin = 'round';
  ctx.lineWidth = 4 * uPlot.pxRatio;
  ctx.strokeStyle = colour('surface');
  ctx.strokeText(text, start, baseline);
  ctx.fillStyle = colour(tone);
  ctx.fillText(text, start, baseline);
}
