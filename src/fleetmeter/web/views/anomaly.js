/** One anomaly: what was found, the evidence, what happened since, and what to do about it. */
import { ApiError, path, post } from '../lib/api.js';
import { dateTime, duration, exactTime, NOTHING, number } from '../lib/formats.js';
import { html, useEffect, useState } from '../lib/html.js';
import { useQuery } from '../lib/query.js';
import { link } from '../lib/router.js';
import { can } from '../lib/session.js';
import { onAnomaly } from '../lib/stream.js';
import { known, t } from '../lib/texts.js';
import { SeverityBadge, StatusBadge } from '../parts/badge.js';
import { Dialog } from '../parts/dialog.js';
import { Field } from '../parts/field.js';
import { Icon } from '../parts/icon.js';
import { Panel } from '../parts/panel.js';
import { Empty, errorText, Failed, Loading } from '../parts/states.js';
import { toast } from '../parts/toast.js';
import { Evidence } from './anomalies/evidence.js';
import { InForce } from './anomalies/in_force.js';
import { causeName, figure, kindName, lasted, METERS, Subject, Summary } from './anomalies/words.js';

export function Anomaly({ id }) {
  const query = useQuery(path`/v1/anomalies/${id}`, { limit: 1000 });
  useEffect(() => onAnomaly((event) => {
    if (event === null || String(event.anomaly.id) === id) query.reload();
  }), [query.reload, id]);
  const anomaly = query.data;
  if (!anomaly) return html`<div class="view"><${Back} />${query.error ? html`<${Unfound} query=${query} id=${id} />` : html`<${Loading} height=${400} />`}</div>`;
  return html`
    <div class="view anomaly">
      <div class="stack">
        <${Back} />
        <div class="view-head">
          <div class="row"><h1>${kindName(anomaly.kind)}</h1><${SeverityBadge} severity=${anomaly.severity} /><${StatusBadge} status=${anomaly.status} /></div>
          ${can('operate') && anomaly.status !== 'resolved' && html`<${Actions} anomaly=${anomaly} onDone=${query.reload} />`}
        </div>
        <p class="lead-text"><${Summary} anomaly=${anomaly} /></p>
      </div>
      <${Facts} anomaly=${anomaly} request=${query.request} />
      <${Evidence} key=${`${anomaly.id} ${anomaly.detectedAt} ${anomaly.endedAt}`} anomaly=${anomaly} />
      <div class="grid">
        <${Figures} anomaly=${anomaly} request=${query.request} />
        <${Events} anomaly=${anomaly} request=${query.request} />
      </div>
      <${InForce} anomaly=${anomaly} />
    </div>`;
}

const Back = () => html`<a class="up-link" href=${link('/anomalies')}><${Icon} name="back" />${t('nav.anomalies')}</a>`;

const Unfound = ({ query, id }) => (query.error.status === 404 || query.error.status === 400
  ? html`<${Empty} icon="search" title=${t('anomaly.unknown', { id })}>${t('anomaly.unknownDetail')}<//>`
  : html`<${Failed} error=${query.error} retry=${query.reload} />`);

function Facts({ anomaly, request }) {
  const facts = [
    ['anomaly.device', html`<${Subject} kind=${anomaly.deviceKind} id=${anomaly.deviceId} />`],
    ['anomaly.site', anomaly.site ?? NOTHING],
    anomaly.cause && ['anomaly.cause', causeName(anomaly.cause)],
    ['anomaly.since', dateTime(anomaly.startedAt)],
    ['anomaly.detected', dateTime(anomaly.detectedAt)],
    ['anomaly.ended', anomaly.endedAt ? dateTime(anomaly.endedAt) : t('anomaly.lasts')],
    ['anomaly.lasted', duration(lasted(anomaly))],
    anomaly.reopened > 0 && ['anomaly.reopened', t('anomaly.times', { count: anomaly.reopened })],
    anomaly.acknowledgedAt && ['status.acknowledged', `${dateTime(anomaly.acknowledgedAt)} · ${anomaly.acknowledgedBy}`],
    anomaly.resolvedAt && ['status.resolved', `${dateTime(anomaly.resolvedAt)} · ${anomaly.resolvedBy ?? t('anomaly.byRule')}`],
  ].filter(Boolean);
  return html`
    <${Panel} title=${t('anomaly.facts')} request=${request}>
      <dl class="fact-grid">${facts.map(([name, value]) => html`<div key=${name}><dt>${t(name)}</dt><dd>${value}</dd></div>`)}</dl>
    <//>`;
}

function Figures({ anomaly, request }) {
  const entries = Object.entries(anomaly.evidence);
  const csv = () => ({ name: `anomaly-${anomaly.id}-evidence`, columns: [t('anomaly.figure'), t('anomaly.value')], rows: entries });
  return html`
    <${Panel} flush title=${t('anomaly.figures')} detail=${t('anomaly.figuresDetail')} request=${request} csv=${csv}>
      ${entries.length ? html`
        <table class="table">
          <tbody>${entries.map(([name, value]) => html`
            <tr key=${name}>
              <th scope="row">${known(`fact.${name}`, name)}</th>
              <td class="number">${METERS.has(name) && value ? html`<${Subject} kind="meter" id=${value} />` : figure(name, value, anomaly.kind)}</td>
            </tr>`)}</tbody>
        </table>` : html`<${Empty} title=${t('anomaly.noFigures')} />`}
    <//>`;
}

function Events({ anomaly, request }) {
  const { items, nextCursor } = anomaly.events;
  const csv = () => ({ name: `anomaly-${anomaly.id}-events`, columns: ['at', 'event', 'who', 'note'], rows: items.map((each) => [each.at, each.event, each.who, each.note]) });
  return html`
    <${Panel} title=${t('anomaly.events')} detail=${nextCursor && t('anomaly.more', { count: number(items.length) })} request=${request} csv=${csv}>
      <ol class="event-list" tabindex="0" aria-label=${t('anomaly.events')}>
        ${items.map((each) => html`
          <li key=${each.id} class=${`tone-${TONES[each.event] ?? 'info'}`}>
            <p><strong>${t(`event.${each.event}`)}</strong> <span class="muted">${each.who ?? t('anomaly.byRule')}</span></p>
            <p class="muted small"><time datetime=${each.at}>${exactTime(each.at)}</time></p>
            ${each.note && html`<p class="quoted-note">${each.note}</p>`}
          </li>`)}
      </ol>
    <//>`;
}

const TONES = { opened: 'critical', reopened: 'critical', acknowledged: 'warning', resolved: 'ok' };

function Actions({ anomaly, onDone }) {
  const [doing, setDoing] = useState(null);
  return html`
    <div class="row">
      ${anomaly.status === 'open' && html`<button class="button primary" onClick=${() => setDoing('acknowledge')}><${Icon} name="check" />${t('anomaly.acknowledge')}</button>`}
      <button class="button" onClick=${() => setDoing('resolve')}>${t('anomaly.resolve')}</button>
    </div>
    ${doing && html`<${Act} ...${{ anomaly, doing, onDone }} onClose=${() => setDoing(null)} />`}`;
}

function Act({ anomaly, doing, onDone, onClose }) {
  const [note, setNote] = useState('');
  const [wrong, setWrong] = useState(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      await post(path`/v1/anomalies/${anomaly.id}/` + doing, { note: note.trim() || null });
      toast(t(`anomaly.${doing}Done`));
      onDone();
      onClose();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      setWrong(errorText(error));
      setBusy(false);
      if (error.status === 409) onDone();
    }
  };
  return html`
    <${Dialog} title=${t(`anomaly.${doing}`)} onClose=${onClose}>
      <form class="stack" onSubmit=${submit}>
        <p class="muted">${t(`anomaly.${doing}Detail`)}</p>
        <${Field} label=${t('anomaly.note')} rows=${3} maxlength=${1000} value=${note} onInput=${setNote} wrong=${wrong} help=${t('anomaly.noteHelp')} autofocus />
        <div class="dialog-foot">
          <button type="button" class="button" onClick=${onClose}>${t('action.cancel')}</button>
          <button class="button primary" disabled=${busy}>${t(`anomaly.${doing}`)}</button>
        </div>
      </form>
    <//>`;
}
