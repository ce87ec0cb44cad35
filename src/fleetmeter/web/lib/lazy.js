/** Views that are loaded after the first one is shown, so that the page has less to load before. */
import { html, useEffect, useReducer, useState } from './html.js';

const REST_AFTER_MS = 2000;
const loads = [];

/** Load the rest once the first view has what it needs: after an update of the service, it would be gone. */
export function loadRest() {
  setTimeout(() => {
    for (const load of loads) load().catch(() => {}); // it is loaded again when it is shown
  }, REST_AFTER_MS);
}

/**
 * Return a component that stands for one of a module.
 * @param {() => Promise<any>} load
 * @param {string} name the export
 */
export function lazy(load, name) {
  let View = null;
  loads.push(load);
  return function Lazy(properties) {
    const [, redraw] = useReducer((count) => count + 1, 0);
    const [error, fail] = useState(null);
    useEffect(() => {
      if (!View) load().then((found) => redraw((View = found[name])), fail);
    }, []);
    if (error) throw error;
    return View && html`<${View} ...${properties} />`;
  };
}
