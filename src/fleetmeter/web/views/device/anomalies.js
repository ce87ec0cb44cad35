/** What was wrong with a device in a window. */
import { html, useEffect } from '../../lib/html.js';
import { dateTime, duration } from '../../lib/formats.js';
import { useQuery } from '../../lib/query.js';
import { go, link } from '../../lib/router.js';
import { onAnomaly } from '../../lib/stream.js';
import { t } from '../../lib/texts.js';
import { SeverityBadge, StatusBadge } from '../../parts/badge.js';
import { Panel } from '../../parts/panel.js';
import { Empty } from '../../parts/states.js';
import { Table, tableCsv } from '../../parts/table.js';
import { kindName, lasted, Summary } from '../anomalies/words.js';

const columns = () => [
  { key: 'severity', label: t('device.severity'), value: (each) => each.severity, cell: (each) => html`<${SeverityBadge} severity=${each.severity} />` },
  {
    key: 'kind', label: t('device.what'), value: (each) => kindName(each.kind),
    cell: (each) => html`<a class="device-name" href=${link('/anomalies', each.id)} tabindex="-1"><b>${kindName(each.kind)}</b><${Summary} anomaly=${each} /></a>`,
  },
  { key: 'started', label: t('device.since'), value: (each) => each.startedAt, cell: (each) => dateTime(each.startedAt), wide: true },
  { key: 'lasted', label: t('session.duration'), number: true, wide: true, value: (each) => lasted(each), cell: (each) => duration(lasted(each)) },
  { key: 'status', label: t('devices.state'), value: (each) => each.status, cell: (each) => html`<${StatusBadge} status=${each.status} />` },
];

export function DeviceAnomalies({ kind, id, window }) {
  const { from, to } = window;
  const query = useQuery('/v1/anomalies', { deviceId: id, from, to, limit: 1000 });
  useEffect(() => onAnomaly((told) => { if (told === null || told.anomaly?.deviceId === id) query.reload(); }), [id, query.reload]);
  const shown = columns();
  const rows = (query.data?.items ?? []).filter((each) => each.deviceKind === kind);
  return html`
    <${Panel} flush title=${t('nav.anomalies')} query=${query} csv=${() => tableCsv(`${id}-anomalies`, shown, rows)}>
      ${() => html`<${Table} label=${t('nav.anomalies')} rows=${rows} rowKey=${(each) => each.id} columns=${shown} height="22rem"
        onOpen=${(each) => go(link('/anomalies', each.id))} empty=${html`<${Empty} icon="check" title=${t('device.noAnomalies')} />`} />`}
    <//>`;
}
