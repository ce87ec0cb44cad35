/** Every view with its address and its place in the navigation. The first pattern that fits is shown. */
import { Anomalies } from './anomalies.js';
import { Anomaly } from './anomaly.js';
import { Device } from './device.js';
import { Devices } from './devices.js';
import { Load } from './load.js';
import { Now } from './now.js';
import { AuditSettings } from './settings/audit.js';
import { KeySettings } from './settings/keys.js';
import { RuleSettings } from './settings/rules.js';
import { Rule } from './settings/rule.js';
import { Settings } from './settings/settings.js';
import { WebhookSettings } from './settings/webhooks.js';

/**
 * @typedef {{
 *   pattern: string, view: Function, properties?: object,
 *   nav?: {text: string, icon: string, counted?: boolean}, scope?: string | string[], title?: string,
 * }} Route
 * A view gets `properties` and what the pattern's `:names` stand for. Without one of the `scope` it is not in the
 * navigation. `title`: text for the window's title, if it is not that of the navigation.
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
  { pattern: '/settings', view: Settings, scope: ['operate', 'admin'], nav: { text: 'nav.settings', icon: 'settings' } },
  { pattern: '/settings/keys', view: KeySettings, title: 'settings.keys' },
  { pattern: '/settings/webhooks', view: WebhookSettings, title: 'settings.webhooks' },
  { pattern: '/settings/rules', view: RuleSettings, title: 'settings.rules' },
  { pattern: '/settings/rules/:kind', view: Rule, title: 'settings.rules' },
  { pattern: '/settings/audit', view: AuditSettings, title: 'settings.audit' },
];
