/** Sets a rule's thresholds in one place; what is left empty comes from the wider places. */
import { path, put } from '../../lib/api.js';
import { html, useState } from '../../lib/html.js';
import { t } from '../../lib/texts.js';
import { Dialog } from '../../parts/dialog.js';
import { Field } from '../../parts/field.js';
import { toast } from '../../parts/toast.js';
import { meaningOf, threshold, Worded } from '../anomalies/words.js';
import { useAction } from './confirm.js';

const isNumber = (schema) => schema.type === 'number' || schema.type === 'integer';

/** Return what a field has as the API takes it. Throws a SyntaxError. */
const parsed = (text, schema) => (isNumber(schema) ? Number(text) : JSON.parse(text));

export function EditRule({ rule, scope, target, onSaved, onClose }) {
  const here = rule.overrides.find((each) => each.scope === scope)?.parameters ?? {};
  const [values, setValues] = useState(() => Object.fromEntries(Object.entries(here).map(([name, value]) => [name, JSON.stringify(value)])));
  const [note, setNote] = useState('');
  const [unread, setUnread] = useState(null);
  const { busy, wrong, run } = useAction();
  const submit = (event) => {
    event.preventDefault();
    setUnread(null);
    const parameters = {};
    for (const [name, text] of Object.entries(values)) {
      if (text.trim() === '') continue;
      try {
        parameters[name] = parsed(text, rule.schema.properties[name]);
      } catch {
        setUnread(name);
        return;
      }
    }
    run(async () => {
      await put(path`/v1/rules/${rule.kind}`, { scope, target: target || null, parameters, note: note.trim() || null });
      toast(t('rule.saved'));
      onSaved();
      onClose();
    });
  };
  return html`
    <${Dialog} title=${t('rule.editTitle', { id: target || t('scope.fleet') })} wide onClose=${onClose}>
      <form class="stack" onSubmit=${submit}>
        <p class="muted">${t('rule.editDetail')}</p>
        <div class="grid fields">
          ${Object.keys(rule.parameters).map((name) => html`
            <${Parameter} key=${name} name=${name} rule=${rule} value=${values[name] ?? ''} wrong=${unread === name ? t('rule.unread') : undefined}
              inherited=${name in here ? undefined : rule.parameters[name]} onInput=${(text) => setValues({ ...values, [name]: text })} />`)}
        </div>
        <${Field} label=${t('anomaly.note')} value=${note} onInput=${setNote} maxlength=${1000} />
        ${wrong && html`<p class="form-wrong" role="alert" lang="en">${wrong}</p>`}
        <div class="dialog-foot">
          <button type="button" class="button" onClick=${onClose}>${t('action.cancel')}</button>
          <button class="button primary" disabled=${busy}>${t('action.save')}</button>
        </div>
      </form>
    <//>`;
}

function Parameter({ name, rule, value, wrong, inherited, onInput }) {
  const schema = rule.schema.properties[name];
  const help = html`<${Worded} text=${meaningOf(rule, name)} own=${schema.description} />`;
  if (schema.type === 'boolean') {
    const options = [['', t('rule.inherit', { value: threshold(name, inherited ?? rule.defaults[name]) })], ['true', t('rule.yes')], ['false', t('rule.no')]];
    return html`<${Field} label=${name} value=${value} onInput=${onInput} options=${options} help=${help} />`;
  }
  const limits = isNumber(schema) ? { type: 'number', step: 'any', min: schema.minimum, max: schema.maximum } : {};
  return html`<${Field} label=${name} value=${value} onInput=${onInput} help=${help} wrong=${wrong} ...${limits} autocomplete="off"
    placeholder=${inherited === undefined ? t('rule.fromWider') : isNumber(schema) ? String(inherited) : JSON.stringify(inherited)} />`;
}
