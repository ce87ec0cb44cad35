/** Asks for a series window by window, so that a month is no single long answer, and asks again only for what may change. */
import { getAll, url } from '../../lib/api.js';
import { useCallback, useEffect, useRef, useState } from '../../lib/html.js';
import { connection } from '../../lib/stream.js';
import { MINUTE, midnight, rfc3339 } from '../../lib/time.js';
import { weekBefore } from './profile.js';

/** Return windows of at most some days from one midnight until before `to`, in ms. */
export function windowsOf(from, to, days) {
  const windows = [];
  for (let start = Number(from); start < to;) {
    const next = Math.min(Number(midnight(start, days)), Number(to));
    windows.push([start, next]);
    start = next;
  }
  return windows;
}

/** Answers kept: those of two months, each day for itself. */
const MOST_KEPT = 128;

const parametersOf = ([from, to]) => ({ from: rfc3339(from), to: rfc3339(to), bucket: '15min', limit: 1000 });

/**
 * Return quarter hours of `from` ≤ t < `to` and of the week before, as `useQuery` does; those of the week before come
 * last, and `complete` says whether they are there. While the period goes on, its newest window is asked for every minute.
 * @param {string | null} address
 * @param {number} from midnight, in ms
 * @param {number} to in ms: the end of the period, or of the last quarter hour that is over
 * @param {number} end of the period, in ms
 * @param {number} days of one window
 * @returns what `useQuery` does, and `done` of `total` windows
 */
export function useQuarterHours(address, from, to, end, days) {
  const kept = useRef(new Map());
  const abort = useRef(null);
  const [state, setState] = useState({ data: null, error: null, loading: true });
  const own = windowsOf(from, to, days);
  const running = to < end;
  const windows = [...own, ...windowsOf(weekBefore(from), Math.min(weekBefore(end), from), days)];
  const key = `${address} ${windows.join()}`;

  const load = useCallback(async (signal) => {
    if (address === null) return;
    const items = [];
    if (kept.current.size > MOST_KEPT) kept.current.clear();
    setState((before) => ({ data: before.key === address + from ? before.data : null, key: address + from, error: null, loading: true, done: 0 }));
    try {
      for (const [index, window] of windows.entries()) {
        const request = url(address, parametersOf(window));
        const changes = running && index === own.length - 1;
        if (changes || !kept.current.has(request)) kept.current.set(request, (await getAll(address, parametersOf(window), { signal })).items);
        items.push(...kept.current.get(request));
        if (index < own.length - 1) {
          setState((before) => ({ ...before, done: index + 1 }));
          continue;
        }
        const complete = index === windows.length - 1;
        setState({ data: { items: [...items], complete }, key: address + from, error: null, loading: !complete });
      }
    } catch (error) {
      if (!signal.aborted) setState((before) => ({ ...before, error, loading: false }));
    }
  }, [key]);

  const reload = useCallback(() => {
    abort.current?.abort();
    abort.current = new AbortController();
    return load(abort.current.signal);
  }, [load]);

  useEffect(() => {
    reload();
    const timer = running && setInterval(() => document.visibilityState === 'visible' && reload(), MINUTE);
    let before = connection.get().state;
    const end = connection.subscribe(({ state: now }) => {
      if (now === 'live' && before !== 'live' && before !== 'connecting') reload();
      before = now;
    });
    return () => {
      abort.current?.abort();
      clearInterval(timer);
      end();
    };
  }, [reload, running]);

  return { ...state, total: own.length, request: address === null ? null : windows.map((each) => url(address, parametersOf(each))), reload };
}
