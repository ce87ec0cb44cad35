/** Every view with its address and its place in the navigation. The first pattern that fits is shown. */
import { Anomalies } from './anomalies.js';
import { Anomaly } from './anomaly.js';
import { Device } from './device.js';
import { Devices } from './devices.js';
import { Load } from './load.js';
import { Now } from './now.js';
import { Settings } from './settings.js';

/**
 * @typedef {{
 *   pattern: string, view: Function, properties?: object,
 *   nav?: {text: string, icon: string, counted?: boolean}, scope?: string,
 * }} Route
 * A view gets `properties` and what the pattern's `:names` stand for. Without the `scope` it is not in the navigation.
 */

/** @type {Route[]} */
export const ROUTES = [
  { pattern: '/', view: Now, nav: { text: 'nav.now', icon: 'now' } },
  { pattern: '/vehicles', view: Devices, properties: { kind: 'vehicle' }, nav: { text: 'nav.vehicles', icon: 'vehicle' } },
  { pattern: '/vehicles/:id', view: Device, properties: { kind: 'vehicle' } },
  { pattern: '/meters', view: Devices, properties: { kind: 'meter' }, nav: { text: 'nav.meters', icon: 'meter' } },
  { pattern: '/meters/:id', view: Device, properties: { kind: 'meter' } },
  { pattern: '/anomalies', view: Anomalies, nav: { text: 'nav.anomalies', icon: 'anomaly', counted: true } },
  { pattern: '/anomalies/:id', view: Anomaly },
  { pattern: '/load', view: Load, nav: { text: 'nav.load', icon: 'load' } },
  { pattern: '/settings', view: Settings, scope: 'admin', nav: { text: 'nav.settings', icon: 'settings' } },
];
