/** Every view with its address and its place in the navigation. The first pattern that fits is shown. */
import { lazy } from '../lib/lazy.js';
import { Devices } from './devices.js';
import { Now } from './now.js';

const Anomalies = lazy(() => import('./anomalies.js'), 'Anomalies');
const Anomaly = lazy(() => import('./anomaly.js'), 'Anomaly');
const Device = lazy(() => import('./device.js'), 'Device');
const Load = lazy(() => import('./load.js'), 'Load');
const Settings = lazy(() => import('./settings/settings.js'), 'Settings');
const AuditSettings = lazy(() => import('./settings/audit.js'), 'AuditSettings');
const KeySettings = lazy(() => import('./settings/keys.js'), 'KeySettings');
const RuleSettings = lazy(() => import('./settings/rules.js'), 'RuleSettings');
const Rule = lazy(() => import('./settings/rule.js'), 'Rule');
const WebhookSettings = lazy(() => import('./settings/webhooks.js'), 'WebhookSettings');

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
