/** The newest value of each measurement, as tiles. */
import { html } from '../../lib/html.js';
import { powerOf } from '../../lib/device_state.js';
import { exactTime, number, powerParts } from '../../lib/formats.js';
import { link } from '../../lib/router.js';
import { t } from '../../lib/texts.js';
import { Level } from '../../parts/level.js';
import { Tile } from '../../parts/tile.js';

const parts = (value, unit, digits) => ({ value: number(value, digits), unit: value === undefined || value === null ? '' : unit });

export function Newest({ kind, state }) {
  const old = (field) => state.asOf?.[field] && t('device.measured', { time: exactTime(state.asOf[field]) });
  const power = powerOf(kind, state);
  const isMean = power !== null && (state.powerKw === undefined || state.asOf?.powerKw);
  const powerTile = html`<${Tile} label=${t('measurement.powerKw')} tone=${kind === 'vehicle' ? 'dc' : 'ac'} parts=${powerParts(power)}
    detail=${isMean ? t('device.meanOfInterval') : ratio(kind, state, power)} />`;
  return html`
    <div class="grid tiles">
      ${kind === 'vehicle' ? html`
        <${Tile} label=${t('measurement.soc')} parts=${parts(state.soc, '%', 0)} detail=${old('soc') || html`<${Level} percent=${state.soc} />`} />
        ${powerTile}
        <${Tile} label=${t('measurement.batteryTemp')} parts=${parts(state.batteryTemp, '°C', 1)} detail=${old('batteryTemp')} />
        <${Tile} label=${t('measurement.odometerKm')} parts=${parts(state.odometerKm, 'km', 0)} detail=${old('odometerKm')} />
        <${Tile} label=${t('devices.meter')} value=${state.meterId ?? '–'} href=${state.meterId && link('/meters', state.meterId)}
          detail=${state.meterId ? t('device.meterNow') : t('device.noMeter')} />`
      : html`
        ${powerTile}
        <${Tile} label=${t('measurement.voltage')} parts=${parts(state.voltage, 'V', 1)} detail=${phases(state) ?? old('voltage')} />
        <${Tile} label=${t('device.register')} parts=${parts(state.kwhConsumedAcTotal, 'kWh', 1)}
          detail=${state.kwhConsumedAcTotal === undefined ? t('device.noRegister') : old('kwhConsumedAcTotal')} />
        <${Tile} label=${t('setting.ratedPowerKw')} parts=${parts(state.settings?.ratedPowerKw, 'kW', 0)}
          detail=${state.settings?.ratedPowerKw ? null : t('device.notSet')} />`}
    </div>`;
}

/** Power against what the meter is rated for, or the battery holds. */
function ratio(kind, { settings }, power) {
  if (power === null) return t('device.notSent');
  if (kind === 'meter' && settings?.ratedPowerKw) return t('device.ofRated', { share: number((power / settings.ratedPowerKw) * 100) });
  if (kind === 'vehicle' && settings?.batteryCapacityKwh && power > 0) {
    return t('device.perCapacity', { rate: number(power / settings.batteryCapacityKwh, 2) });
  }
  return null;
}

function phases(state) {
  const found = ['voltageL1', 'voltageL2', 'voltageL3'].map((field) => state[field]).filter((value) => value !== undefined && value !== null);
  return found.length ? found.map((value) => number(value, 1)).join(' · ') : null;
}
