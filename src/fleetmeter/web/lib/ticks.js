/** Time that passes without news. */
import { useEffect, useState } from './html.js';

/** Draw the component again every so often, while the page is seen: ages grow. */
export function useTicks(everyMs) {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => document.visibilityState === 'visible' && tick((count) => count + 1), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
}
