/** Readings that were refused, counted by the reason: they are not stored, so there is no curve. */
import { exactTime, number } from '../../lib/formats.js';
import { html } from '../../lib/html.js';
import { t } from '../../lib/texts.js';

export const rejections = (anomaly) => ({
  asks: { refused: ['/v1/rejections', { deviceId: anomaly.deviceId, kind: anomaly.deviceKind }] },
  draw: ({ refused }) => [{ label: t('evidence.refused'), table: () => html`<${Refused} items=${refused} />` }],
});

const Refused = ({ items }) => html`
  <div class="table-scroll" tabindex="0" role="region" aria-label=${t('evidence.refused')}>
    <table class="table">
      <thead><tr>
        <th scope="col">${t('evidence.code')}</th><th scope="col" class="number">${t('fact.refused')}</th>
        <th scope="col" class="wide">${t('evidence.first')}</th><th scope="col" class="wide">${t('evidence.last')}</th><th scope="col">${t('evidence.example')}</th>
      </tr></thead>
      <tbody>${items.map((each) => html`
        <tr key=${each.code}>
          <th scope="row"><code>${each.code}</code></th><td class="number">${number(each.count)}</td>
          <td class="wide">${exactTime(each.firstAt)}</td><td class="wide">${exactTime(each.lastAt)}</td><td class="meaning" lang="en">${each.example?.detail ?? '–'}</td>
        </tr>`)}</tbody>
    </table>
  </div>`;
