/** What a device measured besides energy: as it was sent in a short window, by bucket in a long one. */
import { html, useMemo } from '../../lib/html.js';
import { path } from '../../lib/api.js';
import { intervalOf } from '../../lib/device_state.js';
import { measure, percent, power } from '../../lib/formats.js';
import { useQuery } from '../../lib/query.js';
import { gapped, meanPower, usualStep } from '../../lib/series.js';
import { t } from '../../lib/texts.js';
import { Chart, chartCsv } from '../../parts/chart.js';
import { Panel } from '../../parts/panel.js';
import { Empty } from '../../parts/states.js';
import { BUCKET_MS, CHART_PX, REFRESH_MS } from './charts.js';

const celsius = (value) => measure(value, '°C', 1);
const volts = (value) => measure(value, 'V', 1);

/** Returns whether single readings are few enough to be drawn. */
const isShort = (window) => window.bucket === '15min';

export function Measured({ kind, id, state, window, series }) {
  const { from, to } = window;
  const short = isShort(window);
  const readings = useQuery(short ? path`/v1/${`${kind}s`}/${id}/readings` : null, { from, to, limit: 1000 }, { all: true, refreshMs: REFRESH_MS });
  const query = short ? readings : series;
  const points = useMemo(() => (short
    ? pointsOf(query.data?.items ?? [], intervalOf(state) * 1000)
    : gapped(query.data?.items ?? [], (each) => Date.parse(each.from), BUCKET_MS[window.bucket])), [query.data, short]);
  const panels = kind === 'vehicle' ? [battery(points, short), vehiclePower(points, short)] : [meterPower(points, short), voltage(points, short)];
  return panels.map(({ title, lines, zero, ranges, detail }) => html`
    <${Lines} key=${title} ...${{ id, query, title, detail, points, lines, zero, ranges }} />`);
}

/** Return readings in order, with gaps where some are missing. */
function pointsOf(readings, expectedMs) {
  const times = readings.map((each) => Date.parse(each.timestamp));
  return gapped(readings, (each) => Date.parse(each.timestamp), usualStep(times, expectedMs));
}

function Lines({ id, query, title, detail, points, lines, zero, ranges }) {
  const times = points.map(({ at }) => at);
  const series = lines.map(({ of, ...line }) => ({ ...line, values: points.map(({ item }) => (item === null ? null : of(item) ?? null)) }));
  const sent = series.filter((line) => line.values.some((value) => value !== null));
  return html`
    <${Panel} title=${title} detail=${detail} query=${query} height=${CHART_PX} csv=${() => chartCsv(`${id}-${title}`, times, series)}>
      ${() => (sent.length ? html`<${Chart} label=${title} times=${times} series=${sent} height=${CHART_PX} zero=${zero} ranges=${ranges} />`
      : html`<${Empty} title=${times.length ? t('device.notSent') : t('device.nothingReported')} />`)}
    <//>`;
}

const battery = (points, short) => ({
  title: t('device.battery'), zero: false, ranges: { soc: [0, 100] }, detail: short ? t('device.asSent') : t('device.highest'),
  lines: [
    { label: t('measurement.soc'), tone: 'dc', draw: 'area', scale: 'soc', format: (value) => percent(value), of: (each) => (short ? each.soc : each.maxSoc) },
    ...(short ? [] : [{ label: t('device.lowestSoc'), tone: 'dc', dashed: true, scale: 'soc', format: (value) => percent(value), of: (each) => each.minSoc }]),
    { label: t('measurement.batteryTemp'), tone: 'loss', scale: 'temp', format: celsius, of: (each) => (short ? each.batteryTemp : each.maxBatteryTemp) },
  ],
});

const powerLines = (kind, short) => [{
  label: t('measurement.powerKw'), tone: kind === 'vehicle' ? 'dc' : 'ac', draw: 'area', format: power,
  of: (each) => (short ? each.powerKw : meanPower(kind === 'vehicle' ? each.energyDeliveredDc : each.energyConsumedAc, each)),
}];

const vehiclePower = (points, short) => ({ title: t('measurement.powerKw'), zero: true, detail: short ? t('device.asSent') : t('device.meanPower'), lines: powerLines('vehicle', short) });

const meterPower = (points, short) => ({ title: t('measurement.powerKw'), zero: true, detail: short ? t('device.asSent') : t('device.meanPower'), lines: powerLines('meter', short) });

const voltage = (points, short) => ({
  title: t('measurement.voltage'), zero: false, detail: short ? t('device.asSent') : t('device.highestVoltage'),
  lines: short ? ['voltage', 'voltageL1', 'voltageL2', 'voltageL3'].map((field, index) => ({
    label: index ? `L${index}` : t('measurement.voltage'), tone: ['ac', 'loss', 'dc', 'unattributed'][index], format: volts,
    of: (each) => (index || each.voltageL1 === undefined ? each[field] : null), // the mean of the phases says less than they do
  })) : [
    { label: t('device.meanVoltage'), tone: 'ac', format: volts, of: (each) => each.avgVoltage },
    { label: t('device.lowestVoltage'), tone: 'unattributed', dashed: true, format: volts, of: (each) => each.minVoltage },
    { label: t('device.highestOfVoltage'), tone: 'unattributed', dashed: true, format: volts, of: (each) => each.maxVoltage },
  ],
});
