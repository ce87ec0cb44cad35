/** The settings of a device as form fields, by kind. Bounds are the server's business; it says what is wrong. */

const EVERY = [
  { name: 'label', group: 'name' },
  { name: 'site', group: 'name' },
  { name: 'timeZone', group: 'name', zone: true },
  { name: 'reportingIntervalS', group: 'reports', number: true, unit: 's' },
  { name: 'reports', group: 'reports', choices: ['always', 'while_charging'], text: 'reports' },
  { name: 'stampByArrival', group: 'reports', choices: ['true', 'false'], text: 'yesNo', isBoolean: true },
  { name: 'register', group: 'register', choices: ['lifetime', 'session'], text: 'register' },
  { name: 'registerRolloverKwh', group: 'register', number: true, unit: 'kWh' },
];

export const SETTINGS = {
  vehicle: [...EVERY.slice(0, 3), { name: 'batteryCapacityKwh', group: 'name', number: true, unit: 'kWh' }, ...EVERY.slice(3)],
  meter: [
    ...EVERY.slice(0, 3),
    { name: 'role', group: 'name', choices: ['charger', 'site', 'solar', 'storage', 'other'], text: 'role' },
    { name: 'ratedPowerKw', group: 'name', number: true, unit: 'kW' },
    ...EVERY.slice(3),
  ],
};

/** Return what a form shows for the value of a setting. */
export const shownIn = (value) => (value === null || value === undefined ? '' : String(value));

/** Return the value that a form's text stands for. */
export function valueOf(setting, text) {
  if (text.trim() === '') return null;
  if (setting.number) return Number(text);
  return setting.isBoolean ? text === 'true' : text;
}
