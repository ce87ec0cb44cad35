/** Addresses of views: `#/path?query`, so that the server knows one page only. */
import { useStore, createStore } from './store.js';

function read() {
  const [path, query = ''] = location.hash.replace(/^#/, '').split('?', 2);
  return { path: path || '/', query };
}

/** `path` with its encoding, and `query` as text. */
export const place = createStore(read());

addEventListener('hashchange', () => {
  const next = read();
  const before = place.get();
  if (next.path !== before.path || next.query !== before.query) place.set(next);
});

/** Return the link to a view: link('/vehicles', 'EV 1') is `#/vehicles/EV%201`. */
export const link = (path, ...ids) => `#${[path, ...ids.map((id) => encodeURIComponent(id))].join('/')}`;

export const go = (to) => { location.hash = to.replace(/^#/, ''); };

/**
 * Return what a pattern such as `/vehicles/:id` finds in a path, or null.
 * @returns {Record<string, string> | null}
 */
export function match(pattern, path) {
  const names = pattern.split('/');
  const parts = path.split('/');
  if (names.length !== parts.length) return null;
  const found = {};
  for (const [index, name] of names.entries()) {
    if (name.startsWith(':')) {
      try {
        found[name.slice(1)] = decodeURIComponent(parts[index]);
      } catch {
        return null;
      }
    } else if (name !== parts[index]) return null;
  }
  return found;
}

export const usePlace = () => useStore(place);
