/** What a device does at the moment, by its newest reading. */
import { useEffect } from './html.js';
import { useQuery } from './query.js';
import { createStore, useStore } from './store.js';

/** The reporting interval of devices that have none of their own, seconds; the service's own default until it is known. */
const usualInterval = createStore(60);

/** A device is late after so many of its intervals; silent after those of the rules `vehicle_silent` and `meter_silent`. */
const LATE_AFTER = 3;
const SILENT_AFTER = 30;

/** A device charges from this power on, as the coverage of charging time has it, kW. */
const CHARGES_FROM_KW = 0.5;

/** States from the best to the worst, with the colour of each. */
export const TONES = { charging: 'dc', reporting: undefined, paused: undefined, late: 'warning', silent: 'critical' };

const ENERGY = { vehicle: 'kwhDeliveredDc', meter: 'kwhConsumedAc' };

export const idOf = (kind, state) => state[`${kind}Id`];
export const intervalOf = (state) => state.settings?.reportingIntervalS ?? usualInterval.get();

/** Ask for the reporting interval by which others here judge; the component is drawn again once it is known. */
export function useUsualInterval() {
  const { data } = useQuery('/v1/analytics/now', {}, { maxAgeS: 60 });
  useEffect(() => { if (data) usualInterval.set(data.reportingIntervalS); }, [data]);
  return useStore(usualInterval);
}

/** Whether vehicles charge at a meter; only their energy is shared out. */
export const isCharger = (state) => (state.settings?.role ?? 'charger') === 'charger';

/** The name for people: the label, or else the id. */
export const nameOf = (kind, state) => state.settings?.label ?? idOf(kind, state);

/** Power in kW: as it was measured, or else the mean of the newest interval; null when neither is known. */
export function powerOf(kind, state) {
  const isNew = (field) => state[field] !== undefined && state[field] !== null && !state.asOf?.[field];
  if (isNew('powerKw')) return state.powerKw;
  const energy = ENERGY[kind];
  if (!isNew(energy)) return null;
  const isRegister = state[`${energy}Total`] !== undefined;
  if (isRegister && !state.intervalStart) return null;
  const seconds = state.intervalStart ? (Date.parse(state.timestamp) - Date.parse(state.intervalStart)) / 1000 : intervalOf(state);
  return seconds > 0 ? (state[energy] * 3600) / seconds : null;
}

/** @returns {'charging' | 'reporting' | 'paused' | 'late' | 'silent'} `paused`: it reports only while it charges, and is silent */
export function stateOf(kind, state, now = Date.now()) {
  const intervals = (now - Date.parse(state.timestamp)) / 1000 / intervalOf(state);
  if (intervals <= LATE_AFTER) return powerOf(kind, state) >= CHARGES_FROM_KW ? 'charging' : 'reporting';
  if (state.settings?.reports === 'while_charging') return 'paused';
  return intervals < SILENT_AFTER ? 'late' : 'silent';
}
