/** How many anomalies are open, kept up to date by the stream. */
import { get } from './api.js';
import { useEffect } from './html.js';
import { createStore, useStore } from './store.js';
import { connection, onAnomaly } from './stream.js';

const MOST = 100;
const WAIT_MS = 1000;

/** `null` while unknown; `more`: there are more than that. */
const open = createStore({ count: null, more: false });

async function count() {
  try {
    const { items, nextCursor } = await get('/v1/anomalies', { status: 'open', limit: MOST });
    open.set({ count: items.length, more: Boolean(nextCursor) });
  } catch {
    open.set({ count: null, more: false }); // no badge rather than a wrong one; views say what is wrong
  }
}

/** Return the number of open anomalies; the component is drawn again when it changes. */
export function useOpenAnomalies() {
  useEffect(() => {
    let timer = null;
    const soon = () => { timer ??= setTimeout(() => { timer = null; count(); }, WAIT_MS); };
    const ends = [onAnomaly(soon), connection.subscribe(({ state }) => state === 'live' && soon())];
    count();
    return () => {
      clearTimeout(timer);
      ends.forEach((end) => end());
    };
  }, []);
  return useStore(open);
}
