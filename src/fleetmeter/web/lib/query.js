/** Answers of the API in components. */
import { getAll, send, url } from './api.js';
import { useCallback, useEffect, useRef, useState } from './html.js';
import { connection } from './stream.js';

/**
 * Ask the API, again when the request changes, every `refreshMs` while the page is seen, and after a reconnect.
 * The last answer of the path is kept meanwhile (a window moves on), and when a later request fails.
 * @param {string | null} address path; null asks nothing
 * @param {Record<string, unknown>} [parameters]
 * @param {{refreshMs?: number, all?: boolean, maxAgeS?: number}} [options] `all`: every page; data is then `{items, more}`;
 *   `maxAgeS`: analytics may be what others were answered that many seconds ago, so that many open pages cost little;
 *   `reload` asks for new ones
 * @returns {{data: any, error: Error | null, loading: boolean, request: string | null, reload: () => Promise<void>}}
 */
export function useQuery(address, parameters = {}, { refreshMs = 0, all = false, maxAgeS = 0 } = {}) {
  const request = address === null ? null : url(address, parameters);
  const [state, setState] = useState({ data: null, error: null, loading: true, of: address });
  const running = useRef(null);

  const ask = useCallback(async (mostS) => {
    running.current?.abort();
    if (request === null) return;
    const abort = (running.current = new AbortController());
    const { signal } = abort;
    setState((before) => ({ ...(before.of === address ? before : { data: null, error: null }), of: address, loading: true }));
    try {
      const data = await (all ? getAll(address, parameters, { signal, maxAgeS: mostS }) : send('GET', request, { signal, maxAgeS: mostS }));
      if (!signal.aborted) setState({ data, error: null, loading: false, of: address });
    } catch (error) {
      if (!signal.aborted) setState((before) => ({ ...before, error, loading: false }));
    }
  }, [request, all]);

  const reload = useCallback(() => ask(0), [ask]);
  const askAgain = useCallback(() => ask(maxAgeS), [ask, maxAgeS]);

  useEffect(() => {
    askAgain();
    return () => running.current?.abort();
  }, [askAgain]);

  useEffect(() => {
    if (!refreshMs) return undefined;
    const timer = setInterval(() => document.visibilityState === 'visible' && askAgain(), refreshMs);
    return () => clearInterval(timer);
  }, [askAgain, refreshMs]);

  useEffect(() => {
    let before = connection.get().state;
    return connection.subscribe(({ state: now }) => {
      if (now === 'live' && (before === 'reconnecting' || before === 'offline')) askAgain();
      before = now;
    });
  }, [askAgain]);

  const current = state.of === address ? state : { data: null, error: null, loading: true };
  return { data: current.data, error: current.error, loading: request !== null && current.loading, request, reload };
}

/**
 * Return several queries as one, for a panel: `data` by name once all that ask have answered. Those of null are left out.
 * @param {Record<string, ReturnType<typeof useQuery>>} queries
 */
export function together(queries) {
  const asked = Object.entries(queries).filter(([, each]) => each.request !== null);
  const all = asked.map(([, each]) => each);
  return {
    data: asked.length && all.every((each) => each.data !== null) ? Object.fromEntries(asked.map(([name, each]) => [name, each.data])) : null,
    error: all.find((each) => each.error)?.error ?? null,
    loading: all.some((each) => each.loading),
    request: all.map((each) => each.request),
    reload: () => Promise.all(all.map((each) => each.reload())),
  };
}
