/** What an empty database greets with: how to send a first reading, in a terminal or right here. */
import { post } from '../lib/api.js';
import { html, useState } from '../lib/html.js';
import { can, session } from '../lib/session.js';
import { t } from '../lib/texts.js';
import { Copyable } from '../parts/actions.js';
import { Badge } from '../parts/badge.js';
import { Field } from '../parts/field.js';
import { Panel } from '../parts/panel.js';
import { errorText } from '../parts/states.js';
import { toast } from '../parts/toast.js';

const PATH = '/v1/ingest';

/** Two readings of now, that fit together. */
function example() {
  const timestamp = `${new Date().toISOString().slice(0, 19)}Z`;
  return [
    { vehicleId: 'EV-1', soc: 72, kwhDeliveredDc: 1.2, batteryTemp: 36, meterId: 'MTR-1', timestamp },
    { meterId: 'MTR-1', kwhConsumedAc: 1.5, voltage: 230, timestamp },
  ];
}

/** A line per reading, that breaks between its fields. */
const lines = (readings) => `[\n${readings.map((each) => `  ${line(each)}`).join(',\n')}\n]`;
const line = (reading) => `{${Object.entries(reading).map(([name, value]) => `"${name}": ${JSON.stringify(value)}`).join(', ')}}`;

/** @param {{onStored: () => void}} properties called when a reading was stored */
export function FirstVisit({ onStored }) {
  const [readings] = useState(() => lines(example()));
  const key = session.get().who.open ? '' : " \\\n  --header 'Authorization: Bearer <key>'";
  const curl = `curl --request POST ${location.origin}${PATH}${key} \\\n  --header 'Content-Type: application/json' \\\n  --data '${readings}'`;
  return html`
    <div class="view first-visit">
      <div class="stack">
        <h1>${t('first.title')}</h1>
        <p class="muted">${t('first.detail')}</p>
      </div>
      <div class="grid">
        <${Panel} title=${t('first.send')}>
          <div class="stack">
            <${Copyable} label=${t('request.curl')} text=${curl} />
            ${key && html`<p class="muted small">${t('first.key')}</p>`}
            <p class="muted small">${t('first.more')} <a href="/docs" target="_blank" rel="noreferrer">${t('request.reference')}</a></p>
          </div>
        <//>
        <${Panel} title=${t('first.demo')}>
          <div class="stack">
            <p>${t('first.demoDetail')}</p>
            <${Copyable} label=${t('request.curl')} text="make demo" />
          </div>
        <//>
      </div>
      <${Panel} title=${t('first.try')} detail=${t(can('ingest') ? 'first.tryDetail' : 'first.tryForbidden')}>
        ${can('ingest') && html`<${Try} readings=${readings} onStored=${onStored} />`}
      <//>
    </div>`;
}

function Try({ readings, onStored }) {
  const [text, setText] = useState(readings);
  const [wrong, setWrong] = useState(null);
  const [outcome, setOutcome] = useState(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    setWrong(null);
    setOutcome(null);
    let body;
    try {
      body = JSON.parse(text);
    } catch (error) {
      setWrong(t('first.notJson', { why: error.message }));
      return;
    }
    setBusy(true);
    const count = Array.isArray(body) ? body.length : 1;
    try {
      const answer = await post(PATH, body);
      setOutcome(outcomes(answer, count));
      if (answer.accepted) {
        toast(t('first.done', { count: answer.accepted }));
        onStored();
      }
    } catch (error) {
      if (error.problem?.rejected) setOutcome(outcomes(error.problem, count));
      else setWrong(errorText(error));
    }
    setBusy(false);
  };
  return html`
    <form class="stack" onSubmit=${submit}>
      <${Field} label=${t('first.json')} rows="6" spellcheck="false" value=${text} onInput=${setText} wrong=${wrong} />
      <div><button class="button primary" disabled=${busy}>${t('first.post')}</button></div>
    </form>
    ${outcome && html`
      <ol class="first-outcomes" role="status">
        ${outcome.map(({ index, tone, word, detail }) => html`
          <li key=${index}><span class="muted">${t('first.item', { number: index + 1 })}</span><${Badge} tone=${tone}>${word}<//>
            ${detail && html`<span lang="en">${detail}</span>`}</li>`)}
      </ol>`}`;
}

/** Return what became of each reading; which of them were there already is not told one by one. */
function outcomes({ duplicates, rejected, warnings = [] }, count) {
  return Array.from({ length: count }, (_, index) => {
    const refused = rejected.find((each) => each.index === index);
    if (refused) return { index, tone: 'critical', word: refused.code, detail: refused.detail };
    const warning = warnings.find((each) => each.index === index);
    const stored = t(duplicates ? (duplicates === count ? 'first.duplicate' : 'first.storedOrDuplicate') : 'first.stored');
    return { index, tone: warning ? 'warning' : 'ok', word: stored, detail: warning?.detail };
  });
}
