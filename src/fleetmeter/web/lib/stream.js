/**
 * The live stream: one connection for the whole page. States of devices live in Maps out here; components are told
 * which of them changed, a few times a second at most, however many updates came.
 */
import { url } from './api.js';
import { readEvents } from './events.js';
import { useEffect, useReducer } from './html.js';
import { createStore } from './store.js';

const LONGEST_WAIT_MS = 30_000;
const OFFLINE_AFTER = 5;

/** `state`: 'connecting', 'live', 'reconnecting' or 'offline'; `retryAt`: when it tries again, in ms, or null. */
export const connection = createStore({ state: 'connecting', retryAt: null });

const IDS = { vehicle: 'vehicleId', meter: 'meterId' };

/** The newest known state of each device by its id, as in the answers of `/v1/vehicles` and `/v1/meters`. */
export const states = { vehicle: new Map(), meter: new Map() };

const stateListeners = { vehicle: new Set(), meter: new Set() };
const anomalyListeners = new Set();

let source = null;
let timer = null;
let lastEventId = null;
let failures = 0;

/** Put states that were asked for into the Maps. The stream's own are never older than what is there. */
export function putStates(kind, items) {
  for (const item of items) take(kind, item);
}

function take(kind, state) {
  const id = state[IDS[kind]];
  const before = states[kind].get(id);
  if (before && before.timestamp > state.timestamp) return;
  states[kind].set(id, state);
  for (const listener of stateListeners[kind]) listener.changed(id);
}

/** Forget devices that are there no more. */
export function dropStates(kind, ids) {
  for (const id of ids) {
    states[kind].delete(id);
    for (const listener of stateListeners[kind]) listener.changed(id);
  }
}

/**
 * Call `told(ids)` with the ids that changed, at most every `everyMs` and then before a paint.
 * @param {'vehicle' | 'meter'} kind
 * @param {(ids: Set<string>) => void} told
 * @returns {() => void} ends it
 */
export function onStates(kind, told, everyMs = 250) {
  let ids = new Set();
  let waiting = null;
  let toldAt = 0;
  const tell = () => {
    requestAnimationFrame(() => {
      waiting = null;
      toldAt = performance.now();
      const changed = ids;
      ids = new Set();
      if (changed.size) told(changed);
    });
  };
  const listener = {
    changed(id) {
      ids.add(id);
      waiting ??= setTimeout(tell, Math.max(0, toldAt + everyMs - performance.now()));
    },
  };
  stateListeners[kind].add(listener);
  return () => {
    stateListeners[kind].delete(listener);
    clearTimeout(waiting);
    ids = new Set();
  };
}

/** Return the Map of states of a kind; the component is drawn again as they change, at most every `everyMs`. */
export function useStates(kind, everyMs = 250) {
  const [, redraw] = useReducer((count) => count + 1, 0);
  useEffect(() => onStates(kind, redraw, everyMs), [kind, everyMs]);
  return states[kind];
}

/** Return the state of one device, or undefined; the component is drawn again when it changes. */
export function useDevice(kind, id, everyMs = 250) {
  const [, redraw] = useReducer((count) => count + 1, 0);
  useEffect(() => onStates(kind, (ids) => ids.has(id) && redraw(), everyMs), [kind, id, everyMs]);
  return states[kind].get(id);
}

/** Call `told(event)` for each event of an anomaly: `{event, at, who, note, anomaly}`. Returns what ends it. */
export function onAnomaly(told) {
  anomalyListeners.add(told);
  return () => anomalyListeners.delete(told);
}

/** Connect, and stay connected until `disconnect`. */
export function connect() {
  if (source || timer) return;
  open();
}

/** End the stream, and forget all states: the next who signs in may see others. */
export function disconnect() {
  close();
  clearTimeout(timer);
  timer = null;
  failures = 0;
  lastEventId = null;
  for (const each of Object.values(states)) each.clear();
  connection.set({ state: 'connecting', retryAt: null });
}

function open() {
  timer = null;
  const abort = (source = new AbortController());
  const opened = () => {
    failures = 0;
    connection.set({ state: 'live', retryAt: null });
  };
  const ended = () => source === abort && retry();
  readEvents(url('/v1/stream', { lastEventId }), { signal: abort.signal, opened, told: tellAll }).then(ended, ended);
}

function tellAll({ event, id, data }) {
  lastEventId = id || lastEventId;
  try {
    if (event in IDS) take(event, JSON.parse(data));
    else if (event === 'anomaly' || event === 'missed') {
      const happened = event === 'missed' ? null : JSON.parse(data);
      for (const listener of anomalyListeners) listener(happened);
    }
  } catch (error) {
    reportError(error); // a fault of the page's must not look like one of the connection's
  }
}

function close() {
  source?.abort();
  source = null;
}

/** Try again by oneself, later each time. */
function retry() {
  close();
  if (timer) return;
  failures += 1;
  const waitMs = Math.min(LONGEST_WAIT_MS, 1000 * 2 ** (failures - 1)) * (0.75 + Math.random() / 2);
  timer = setTimeout(open, waitMs);
  const state = !navigator.onLine || failures > OFFLINE_AFTER ? 'offline' : 'reconnecting';
  connection.set({ state, retryAt: Date.now() + waitMs });
}

/** Try again at once. */
export function retryNow() {
  if (!timer) return;
  clearTimeout(timer);
  open();
}

addEventListener('online', retryNow);
