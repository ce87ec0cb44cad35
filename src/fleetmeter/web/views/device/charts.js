/** What the charts of a device share. */
import { DAY, HOUR } from '../../lib/time.js';

export const CHART_PX = 240;
export const REFRESH_MS = 60_000;

/** Length of a bucket, ms. */
export const BUCKET_MS = { '15min': HOUR / 4, hour: HOUR, day: DAY };
