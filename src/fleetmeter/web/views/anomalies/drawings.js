/**
 * How the evidence of each kind of anomaly is drawn: what is asked of the API, and the charts of its answers.
 *
 * A drawing is a function of an anomaly and of now, in ms; it returns
 * `{asks: {name: [path, parameters]}, draw: (items by name) => charts, text?, words?}`.
 */
import { path } from '../../lib/api.js';
import { measure, number, percent, power, share } from '../../lib/formats.js';
import { bucketAt, grid, meanPower, QUARTER, quarterAfter, quarterBefore } from '../../lib/quarter_hours.js';
import { t } from '../../lib/texts.js';
import { DAY, HOUR, MINUTE, rfc3339 } from '../../lib/time.js';
import { rejections } from './rejections.js';

const PAGE = 1000;
const LONGEST = 2 * DAY;
const celsius = (value) => measure(value, '°C', 1);
const volts = (value) => measure(value, 'V', 1);
const kwh = (value) => measure(value, 'kWh', 1);

/** Return quarter hours around what happened, at most two days of them. */
const around = (from, to, before, after) => {
  const start = quarterBefore(from - before);
  return [start, Math.min(quarterAfter(to + after), start + LONGEST)];
};

const window = ([from, to]) => ({ from: rfc3339(from), to: rfc3339(to), limit: PAGE });
const energyOf = (kind, id, span) => [path`/v1/${kind}s/${id}/energy`, { ...window(span), bucket: '15min' }];
const readingsOf = (kind, id, span) => [path`/v1/${kind}s/${id}/readings`, window(span)];

const start = (anomaly) => Date.parse(anomaly.startedAt);
const end = (anomaly, now) => (anomaly.endedAt ? Date.parse(anomaly.endedAt) : now);
const found = (anomaly) => Math.max(Date.parse(anomaly.detectedAt), start(anomaly));
const bandOf = (anomaly, now, tone = 'critical') => [{ from: start(anomaly), to: end(anomaly, now), tone, label: t('evidence.period') }];

/** A dashed line at a limit. */
const limit = (label, times, value, format, tone = 'critical', scale) => ({ label, tone, format, dashed: true, scale, values: times.map(() => value) });

/** What one or two meters and a vehicle show of the same energy; and the vehicle's curve moved by its clock's error. */
function curves(anomaly, now) {
  const { meterId, otherMeterId, offsetS } = anomaly.evidence;
  const moved = (offsetS ?? 0) * 1000;
  const wide = 3 * HOUR + Math.abs(moved);
  const span = around(start(anomaly), found(anomaly), wide, wide);
  const asks = { vehicle: energyOf('vehicle', anomaly.deviceId, span), meter: energyOf('meter', meterId, span) };
  if (otherMeterId) asks.other = energyOf('meter', otherMeterId, span);
  return {
    asks, text: CAUSES.includes(anomaly.cause) ? `evidence.cause.${anomaly.cause}` : undefined, words: { id: anomaly.deviceId, meter: meterId, other: otherMeterId },
    draw({ vehicle, meter, other }) {
      const times = grid(span[0], span[1], moved ? 5 * MINUTE : QUARTER);
      const at = { vehicle: bucketAt(vehicle), meter: bucketAt(meter), other: other && bucketAt(other) };
      const series = [
        steps(t('evidence.acAt', { id: meterId }), 'ac', times.map((each) => meanPower(at.meter(each), 'energyConsumedAc'))),
        steps(t('evidence.dcOf', { id: anomaly.deviceId }), 'dc', times.map((each) => meanPower(at.vehicle(each), 'energyDeliveredDc'))),
      ];
      if (other) series.push(steps(t('evidence.acAt', { id: otherMeterId }), 'accent', times.map((each) => meanPower(at.other(each), 'energyConsumedAc'))));
      if (moved) series.push({ ...steps(t('evidence.moved', { id: anomaly.deviceId }), 'accent', times.map((each) => meanPower(at.vehicle(each + moved), 'energyDeliveredDc'))), dashed: true });
      return [{ label: t('evidence.powers'), times, series, bands: bandOf(anomaly, now) }];
    },
  };
}

const CAUSES = ['wrong_meter', 'clock_offset', 'missing_ac_readings', 'register_reset', 'reporting_lag'];
const steps = (label, tone, values) => ({ label, tone, draw: 'steps', format: power, values });

/** AC and DC of the session that decided, and the efficiency of all sessions around it. */
function efficiency(anomaly, now) {
  const { expected, threshold, usual } = anomaly.evidence;
  const span = around(start(anomaly), found(anomaly), 2 * HOUR, 2 * HOUR);
  const all = [start(anomaly) - 23 * DAY, Math.min(end(anomaly, now) + 3 * DAY, now)];
  return {
    asks: {
      vehicle: energyOf('vehicle', anomaly.deviceId, span),
      sessions: [path`/v1/vehicles/${anomaly.deviceId}/sessions`, window(all)],
    },
    draw({ vehicle, sessions }) {
      const times = grid(...span);
      const at = bucketAt(vehicle);
      const known = sessions.filter((each) => each.efficiencyRatio !== null).reverse();
      const when = known.map((each) => Date.parse(each.from));
      const lines = usual === undefined
        ? [limit(t('fact.expected'), when, expected, share, 'info'), limit(t('evidence.limit'), when, threshold, share)]
        : [limit(t('fact.usual'), when, usual, share, 'info'), limit(t('evidence.limit'), when, usual - threshold, share)];
      return [
        {
          label: t('evidence.powers'), times, bands: bandOf(anomaly, now),
          series: [
            steps(t('energy.ac'), 'ac', times.map((each) => meanPower(at(each), 'energyConsumedAc'))),
            steps(t('energy.dc'), 'dc', times.map((each) => meanPower(at(each), 'energyDeliveredDc'))),
          ],
        },
        {
          label: t('evidence.sessions'), times: when, zero: false, bands: bandOf(anomaly, now),
          series: [{ label: t('energy.efficiency'), tone: 'dc', draw: 'points', format: share, values: known.map((each) => each.efficiencyRatio) }, ...lines],
        },
      ];
    },
  };
}

function standby(anomaly, now) {
  const { thresholdW } = anomaly.evidence;
  const span = around(start(anomaly), found(anomaly), 6 * HOUR, 6 * HOUR);
  return {
    asks: { meter: energyOf('meter', anomaly.deviceId, span) },
    draw({ meter }) {
      const times = grid(...span);
      const at = bucketAt(meter);
      return [{
        label: t('evidence.powers'), times, bands: bandOf(anomaly, now),
        series: [
          steps(t('energy.ac'), 'ac', times.map((each) => meanPower(at(each), 'energyConsumedAc'))),
          steps(t('energy.dc'), 'dc', times.map((each) => meanPower(at(each), 'energyDeliveredDc'))),
          limit(t('evidence.limit'), times, thresholdW / 1000, power),
        ],
      }];
    },
  };
}

/** Readings of each quarter hour: there are none in the gap. */
function silence(anomaly, now) {
  const { reportingIntervalS } = anomaly.evidence;
  const span = around(start(anomaly), end(anomaly, now), 6 * HOUR, 2 * HOUR);
  return {
    asks: { device: energyOf(anomaly.deviceKind, anomaly.deviceId, span) },
    draw({ device }) {
      const times = grid(span[0], Math.min(span[1], now));
      const at = bucketAt(device);
      return [{
        label: t('evidence.readings'), times, bands: [{ ...bandOf(anomaly, now)[0], label: t('evidence.silent') }],
        series: [
          { label: t('evidence.readings'), tone: 'accent', draw: 'bars', format: (value) => number(value), values: times.map((each) => at(each)?.readings ?? 0) },
          limit(t('fact.expected'), times, QUARTER / 1000 / reportingIntervalS, (value) => number(value, value % 1 ? 1 : 0), 'info'),
        ],
      }];
    },
  };
}

function siteSilence(anomaly, now) {
  const span = around(start(anomaly), end(anomaly, now), 6 * HOUR, 2 * HOUR);
  return {
    asks: { site: [path`/v1/analytics/sites/${anomaly.deviceId}/energy`, { ...window(span), bucket: '15min' }] },
    draw({ site }) {
      const times = grid(...span);
      const at = bucketAt(site);
      const covered = (side) => times.map((each) => (each < now ? at(each)?.quality.coverage[side] ?? 0 : null));
      return [{
        label: t('evidence.covered'), times, bands: [{ ...bandOf(anomaly, now)[0], label: t('evidence.silent') }], ranges: { y: [0, 1] },
        series: [
          { label: t('nav.meters'), tone: 'ac', draw: 'steps', format: share, values: covered('ac') },
          { label: t('nav.vehicles'), tone: 'dc', draw: 'steps', format: share, values: covered('dc') },
        ],
      }];
    },
  };
}

function voltage(anomaly, now) {
  const { lowV, highV, meanV, windowFrom } = anomaly.evidence;
  const worst = Date.parse(windowFrom);
  const span = around(worst, worst, 12 * HOUR, 12 * HOUR);
  return {
    asks: { meter: energyOf('meter', anomaly.deviceId, span) },
    draw({ meter }) {
      const times = grid(...span);
      const at = bucketAt(meter);
      const line = (name, tone, label) => ({ label, tone, format: volts, values: times.map((each) => at(each)?.[name] ?? null) });
      return [{
        label: t('evidence.voltages'), times, zero: false, bands: bandOf(anomaly, now),
        marks: [{ at: worst, value: meanV, tone: 'critical', label: volts(meanV) }],
        series: [
          line('maxVoltage', 'unattributed', t('evidence.highest')), line('avgVoltage', 'ac', t('evidence.mean')), line('minVoltage', 'info', t('evidence.lowest')),
          limit(t('evidence.upper'), times, highV, volts), limit(t('evidence.lower'), times, lowV, volts),
        ],
      }];
    },
  };
}

/** Battery temperature of each reading, and the power it was charged with. */
function temperature(anomaly, now) {
  const span = around(start(anomaly), Math.min(end(anomaly, now), found(anomaly) + 4 * HOUR), HOUR, HOUR);
  return {
    asks: { readings: readingsOf('vehicle', anomaly.deviceId, span), vehicle: energyOf('vehicle', anomaly.deviceId, span) },
    draw({ readings, vehicle }) {
      const measured = readings.filter((each) => typeof each.batteryTemp === 'number');
      const times = measured.map((each) => Date.parse(each.timestamp));
      const at = bucketAt(vehicle);
      return [{
        label: t('evidence.temperatures'), times, zero: false, bands: bandOf(anomaly, now),
        series: [
          { label: t('evidence.temperature'), tone: 'loss', format: celsius, values: measured.map((each) => each.batteryTemp) },
          limit(t('evidence.limit'), times, anomaly.evidence.thresholdC, celsius),
          { label: t('energy.dc'), tone: 'dc', draw: 'steps', scale: 'power', format: power, values: times.map((each) => meanPower(at(each), 'energyDeliveredDc')) },
        ],
      }];
    },
  };
}

/** State of charge as it was sent, and the energy since the beginning: with a capacity, as the charge that it makes. */
function charge(anomaly) {
  const span = around(start(anomaly), found(anomaly), HOUR, HOUR);
  const { capacityKwh } = anomaly.evidence;
  return {
    asks: { readings: readingsOf('vehicle', anomaly.deviceId, span) },
    draw({ readings }) {
      const times = readings.map((each) => Date.parse(each.timestamp));
      const begins = start(anomaly);
      const first = readings.find((each) => Date.parse(each.timestamp) >= begins && typeof each.soc === 'number')?.soc ?? null;
      let taken = 0;
      const energies = readings.map((each, index) => {
        if (times[index] < begins) return null;
        taken += each.kwhDeliveredDc ?? 0;
        return taken;
      });
      const second = capacityKwh && first !== null
        ? { label: t('evidence.socByEnergy'), format: (value) => percent(value, 1), values: energies.map((each) => (each === null ? null : first + (each / capacityKwh) * 100)), dashed: true }
        : { label: t('evidence.energySince'), format: kwh, values: energies, scale: 'energy', draw: 'area' };
      return [{
        label: t('evidence.charges'), times, bands: [{ from: begins, to: found(anomaly), tone: 'critical', label: t('evidence.session') }],
        series: [{ label: t('evidence.soc'), tone: 'accent', format: (value) => percent(value, 1), values: readings.map((each) => each.soc ?? null) }, { tone: 'dc', ...second }],
      }];
    },
  };
}

function implausible(anomaly, now) {
  const { limitKw, minutes } = anomaly.evidence;
  const span = around(start(anomaly), start(anomaly) + minutes * MINUTE, 3 * HOUR, 3 * HOUR);
  const name = anomaly.deviceKind === 'meter' ? 'energyConsumedAc' : 'energyDeliveredDc';
  return {
    asks: { device: energyOf(anomaly.deviceKind, anomaly.deviceId, span) },
    draw({ device }) {
      const times = grid(...span);
      const at = bucketAt(device);
      const tone = anomaly.deviceKind === 'meter' ? 'ac' : 'dc';
      const values = times.map((each) => meanPower(at(each), name));
      const charts = [{ label: t('evidence.powers'), times, bands: bandOf(anomaly, now), series: [steps(t('evidence.power'), tone, values), limit(t('evidence.limit'), times, limitKw, power)] }];
      if (anomaly.cause !== 'unit_wh') return charts;
      const thousandth = values.map((each) => (each === null ? null : each / 1000));
      return [...charts, { label: t('evidence.thousandths'), times, bands: bandOf(anomaly, now), series: [steps(t('evidence.thousandth'), tone, thousandth), limit(t('evidence.limit'), times, limitKw, power)] }];
    },
  };
}

function register(anomaly, now) {
  const { hours } = anomaly.evidence;
  const span = around(start(anomaly), start(anomaly) + hours * HOUR, HOUR, HOUR);
  const name = anomaly.deviceKind === 'meter' ? 'kwhConsumedAcTotal' : 'kwhDeliveredDcTotal';
  return {
    asks: { readings: readingsOf(anomaly.deviceKind, anomaly.deviceId, span) },
    draw({ readings }) {
      const shown = readings.filter((each) => typeof each[name] === 'number');
      const times = shown.map((each) => Date.parse(each.timestamp));
      return [{
        label: t('evidence.registers'), times, zero: false, bands: bandOf(anomaly, now),
        series: [{ label: t('evidence.register'), tone: 'ac', draw: 'steps', format: kwh, values: shown.map((each) => each[name]) }],
      }];
    },
  };
}

export const DRAWINGS = {
  dc_exceeds_ac: curves, efficiency_low: efficiency, efficiency_drop: efficiency, standby_loss: standby, vehicle_silent: silence,
  meter_silent: silence, site_silent: siteSilence, voltage_out_of_range: voltage, battery_hot: temperature, battery_cold_charging: temperature,
  soc_mismatch: charge, soc_stuck: charge, soc_scale: charge, power_implausible: implausible, register_unstable: register, readings_refused: rejections,
};
