/** The anomalies that are open or acknowledged, by device; kept up to date by the stream. */
import { getAll } from './api.js';
import { useEffect, useMemo, useState } from './html.js';
import { connection, onAnomaly } from './stream.js';

const MOST = 5000;
const WAIT_MS = 1000;
const NONE = [];

/** @returns {{of: (kind: 'vehicle' | 'meter' | 'site', id: string) => any[]}} a new object whenever they change */
export function useActiveAnomalies() {
  const [items, setItems] = useState(NONE);
  useEffect(() => {
    const abort = new AbortController();
    let timer = null;
    const load = async () => {
      timer = null;
      try {
        const found = await getAll('/v1/anomalies', { status: 'active', limit: 1000 }, { most: MOST, signal: abort.signal });
        setItems(found.items);
      } catch {
        // the last known stay; the views of anomalies say what is wrong
      }
    };
    const soon = () => { timer ??= setTimeout(load, WAIT_MS); };
    const ends = [onAnomaly(soon), connection.subscribe(({ state }) => state === 'live' && soon())];
    load();
    return () => {
      abort.abort();
      clearTimeout(timer);
      ends.forEach((end) => end());
    };
  }, []);
  return useMemo(() => {
    const byKind = { vehicle: new Map(), meter: new Map(), site: new Map() };
    for (const item of items) {
      const byId = byKind[item.deviceKind];
      byId?.set(item.deviceId, [...(byId.get(item.deviceId) ?? NONE), item]);
    }
    return { of: (kind, id) => byKind[kind].get(id) ?? NONE };
  }, [items]);
}
