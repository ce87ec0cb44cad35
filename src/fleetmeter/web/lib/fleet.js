/** All devices of a kind: loaded page by page while the view is used already, and kept up to date by the stream. */
import { getAll } from './api.js';
import { useCallback, useEffect, useRef, useState } from './html.js';
import { connection, dropStates, putStates, states, useStates } from './stream.js';

const FIRST_PAGE = 100; // as before_paint.classic.js asks for it
const PAGE = 1000;
const MOST = 50_000;
const PATHS = { vehicle: '/v1/vehicles', meter: '/v1/meters' };

/**
 * @param {'vehicle' | 'meter'} kind
 * @param {number} everyMs at most so often is the component drawn again
 * @returns {{states: Map<string, any>, done: boolean, more: boolean, error: Error | null, request: string, reload: () => void}}
 * `states` is the same Map each time, and grows until `done`; `more`: there are more devices than are shown.
 */
export function useFleet(kind, everyMs = 1000) {
  const [load, setLoad] = useState({ done: false, more: false, error: null });
  const running = useRef(null);

  const reload = useCallback(async () => {
    running.current?.abort();
    const { signal } = (running.current = new AbortController());
    setLoad((before) => ({ ...before, error: null }));
    const unseen = new Map(states[kind]);
    const onPage = (items) => {
      if (signal.aborted) return;
      putStates(kind, items);
      for (const item of items) unseen.delete(item[`${kind}Id`]);
    };
    try {
      const { more } = await getAll(PATHS[kind], { limit: PAGE }, { signal, onPage, first: FIRST_PAGE, most: MOST });
      const untouched = [...unseen].filter(([id, state]) => states[kind].get(id) === state);
      if (!more) dropStates(kind, untouched.map(([id]) => id));
      setLoad({ done: true, more, error: null });
    } catch (error) {
      if (!signal.aborted) setLoad((before) => ({ ...before, error }));
    }
  }, [kind]);

  useEffect(() => {
    reload();
    return () => running.current?.abort();
  }, [reload]);

  useEffect(() => {
    let before = connection.get().state;
    return connection.subscribe(({ state: now }) => {
      if (now === 'live' && (before === 'reconnecting' || before === 'offline')) reload();
      before = now;
    });
  }, [reload]);

  return { states: useStates(kind, everyMs), ...load, request: `${PATHS[kind]}?limit=${PAGE}`, reload };
}
