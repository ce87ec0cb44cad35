/** A value outside the components that tells those who look at it when it changes. */
import { useLayoutEffect, useState } from './html.js';

/**
 * @template T
 * @param {T} value
 * @returns {{get: () => T, set: (next: T) => void, update: (part: Partial<T>) => void, subscribe: (listener: (value: T) => void) => () => void}}
 */
export function createStore(value) {
  const listeners = new Set();
  const set = (next) => {
    if (Object.is(next, value)) return;
    value = next;
    for (const listener of [...listeners]) listener(value);
  };
  return {
    get: () => value,
    set,
    update: (part) => set({ ...value, ...part }),
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** Return a store's value; the component is drawn again when it changes. */
export function useStore(store) {
  const [value, setValue] = useState(() => store.get());
  useLayoutEffect(() => {
    setValue(() => store.get());
    return store.subscribe((next) => setValue(() => next));
  }, [store]);
  return value;
}

/** Return a store that remembers its value in this browser under `fleetmeter.<name>`. */
export function createRemembered(name, fallback, allowed) {
  const key = `fleetmeter.${name}`;
  let stored = null;
  try {
    stored = localStorage.getItem(key);
  } catch {
    // without storage, nothing is remembered
  }
  const store = createStore(allowed.includes(stored) ? stored : fallback);
  store.subscribe((value) => {
    try {
      localStorage.setItem(key, value);
    } catch {
      // as above
    }
  });
  return store;
}
