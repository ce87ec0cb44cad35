/** What is chosen in a view (search, filter, window) lives in its address: it can be linked, and Back works. */
import { useCallback } from './html.js';
import { place, usePlace } from './router.js';

/**
 * @template {Record<string, string>} T
 * @param {T} defaults names and values when the address has none
 * @returns {[T, (part: Partial<T>) => void]}
 */
export function useUrlState(defaults) {
  const { query } = usePlace();
  const given = new URLSearchParams(query);
  const chosen = Object.fromEntries(Object.entries(defaults).map(([name, value]) => [name, given.get(name) ?? value]));
  const choose = useCallback((part) => {
    const { path, query: before } = place.get();
    const next = new URLSearchParams(before);
    for (const [name, value] of Object.entries(part)) {
      if (value === null || value === undefined || value === defaults[name]) next.delete(name);
      else next.set(name, value);
    }
    const text = String(next);
    history.replaceState(null, '', `#${path}${text ? `?${text}` : ''}`);
    place.set({ path, query: text });
  }, []);
  return [chosen, choose];
}
