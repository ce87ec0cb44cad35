/** Corrects a stored reading, voids it, or restores it; versions and the reason are kept. */
import { html } from '../../lib/html.js';
import { post } from '../../lib/api.js';
import { numberIn, useForm } from '../../lib/form.js';
import { exactTime, number } from '../../lib/formats.js';
import { t } from '../../lib/texts.js';
import { Field } from '../../parts/field.js';
import { FormDialog } from '../../parts/form.js';
import { toast } from '../../parts/toast.js';
import { MEASUREMENTS } from './measurement_fields.js';

const has = (reading, field) => reading[field] !== undefined && reading[field] !== null;

/** Return the fields that may be corrected: not what is derived from a register. */
const correctable = (kind, reading) => MEASUREMENTS[kind].filter(({ field, total }) => has(reading, field) && !(total && has(reading, total)));

export function Correction({ kind, id, reading, onClose, onDone }) {
  const { voided } = reading;
  const fields = voided ? [] : correctable(kind, reading);
  const before = Object.fromEntries(fields.map(({ field }) => [field, String(reading[field])]));
  const correct = async (values, change) => {
    const answer = await post('/v1/corrections', { [`${kind}Id`]: id, timestamp: reading.timestamp, reason: values.reason, ...change });
    toast(answer.changed ? t('correction.done', { version: answer.version }) : t('correction.same'));
    onDone();
  };
  const form = useForm({ ...before, reason: '' }, (values) => correct(values, voided ? { void: false } : Object.fromEntries(
    fields.filter(({ field }) => values[field] !== before[field]).map(({ field }) => [field, numberIn(values[field])]),
  )));
  const discard = () => form.run((values) => correct(values, { void: true }));
  return html`
    <${FormDialog} wide title=${t(voided ? 'correction.restoreTitle' : 'correction.title')} form=${form} onClose=${onClose}
      action=${t(voided ? 'correction.restore' : 'correction.action')}
      more=${!voided && html`<button type="button" class="button danger" disabled=${form.busy} onClick=${discard}>${t('correction.void')}</button>`}>
      <p class="muted">${t('correction.detail', { id, time: exactTime(reading.timestamp) })}</p>
      ${fields.length > 0 && html`
        <div class="grid form-grid">
          ${fields.map(({ field, text, unit, digits }) => html`
            <${Field} key=${field} label=${`${t(text)} (${unit})`} type="number" step="any" ...${form.field(field)}
              help=${form.values[field] !== before[field] ? t('correction.was', { value: number(reading[field], digits) }) : undefined} />`)}
        </div>`}
      <${Field} label=${t('correction.reason')} rows="2" required ...${form.field('reason')} help=${t('correction.reasonHelp')} />
    <//>`;
}
