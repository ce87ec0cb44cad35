/** Changes the settings of a device; only what was changed is sent. */
import { html } from '../../lib/html.js';
import { patch, path } from '../../lib/api.js';
import { useForm } from '../../lib/form.js';
import { t } from '../../lib/texts.js';
import { ZONE } from '../../lib/time.js';
import { Field } from '../../parts/field.js';
import { FormDialog } from '../../parts/form.js';
import { toast } from '../../parts/toast.js';
import { SETTINGS, shownIn, valueOf } from './setting_fields.js';

const GROUPS = ['name', 'reports', 'register'];

export function SettingsForm({ kind, id, state, onClose, onDone }) {
  const fields = SETTINGS[kind];
  const before = Object.fromEntries(fields.map(({ name }) => [name, shownIn(state.settings?.[name])]));
  const form = useForm(before, async (values) => {
    const changed = fields.filter(({ name }) => values[name] !== before[name]);
    if (changed.length) {
      await patch(path`/v1/${`${kind}s`}/${id}`, Object.fromEntries(changed.map((each) => [each.name, valueOf(each, values[each.name])])));
      toast(t('device.settingsSaved'));
    }
    onDone();
  });
  return html`
    <${FormDialog} wide title=${t('device.settingsOf', { id })} form=${form} onClose=${onClose}>
      ${GROUPS.map((group) => html`
        <fieldset key=${group}>
          <legend>${t(`setting.group.${group}`)}</legend>
          <div class="grid form-grid">
            ${fields.filter((each) => each.group === group).map((each) => html`<${Setting} key=${each.name} setting=${each} field=${form.field(each.name)} />`)}
          </div>
        </fieldset>`)}
      <datalist id="zones">${[...new Set([ZONE, ...Intl.supportedValuesOf('timeZone')])].map((zone) => html`<option key=${zone} value=${zone}></option>`)}</datalist>
    <//>`;
}

function Setting({ setting, field }) {
  const { name, choices, text, number, unit, zone } = setting;
  const label = `${t(`setting.${name}`)}${unit ? ` (${unit})` : ''}`;
  const options = choices && [['', t(`setting.unset.${name}`)], ...choices.map((each) => [each, t(`${text}.${each}`)])];
  return html`<${Field} label=${label} options=${options} type=${number ? 'number' : undefined} step=${number ? 'any' : undefined}
    list=${zone ? 'zones' : undefined} ...${field} help=${t(`setting.help.${name}`)} />`;
}
