/** Assigns a vehicle to a meter from a time on; from the page of either. */
import { html, useMemo } from '../../lib/html.js';
import { path, put } from '../../lib/api.js';
import { useForm } from '../../lib/form.js';
import { useFleet } from '../../lib/fleet.js';
import { dateTime, number } from '../../lib/formats.js';
import { t } from '../../lib/texts.js';
import { localInput, rfc3339 } from '../../lib/time.js';
import { isCharger, nameOf } from '../../lib/device_state.js';
import { Field } from '../../parts/field.js';
import { FormDialog } from '../../parts/form.js';
import { toast } from '../../parts/toast.js';

const MOST_OFFERED = 50;

export function Assign({ kind, id, state, onClose, onDone }) {
  const other = kind === 'vehicle' ? 'meter' : 'vehicle';
  const send = async ({ vehicleId, meterId, since }) => {
    const answer = await put(path`/v1/vehicles/${vehicleId.trim()}/meter`, {
      meterId: meterId.trim() || null, ...(since ? { since: rfc3339(since) } : {}),
    });
    toast(t(answer.meterId ? 'assign.done' : 'assign.ended', {
      vehicle: answer.vehicleId, meter: answer.meterId, since: dateTime(answer.since), count: number(answer.restamped),
    }));
    onDone();
  };
  const form = useForm({ vehicleId: kind === 'vehicle' ? id : '', meterId: kind === 'meter' ? id : state.meterId ?? '', since: '' }, send);
  const wanted = form.values[`${other}Id`];
  return html`
    <${FormDialog} title=${t(`assign.${kind}`)} form=${form} onClose=${onClose} action=${t(wanted || kind === 'meter' ? 'assign.action' : 'assign.end')}>
      <p class="muted">${t(`assign.detail.${kind}`)}</p>
      <${Field} label=${t(`devices.name.${other}`)} list="offered" autocomplete="off" required=${other === 'vehicle'} ...${form.field(`${other}Id`)}
        help=${other === 'meter' ? t('assign.none') : undefined} />
      <${Offered} kind=${other} text=${wanted} />
      <${Field} label=${t('assign.since')} type="datetime-local" step="1" max=${localInput(Date.now())} ...${form.field('since')} help=${t('assign.sinceHelp')} />
    <//>`;
}

/** Offers the ids of devices whose id or name has the text. */
function Offered({ kind, text }) {
  const { states, done } = useFleet(kind);
  const found = useMemo(() => {
    const part = text.toLowerCase();
    return [...states.values()]
      .filter((state) => `${state[`${kind}Id`]} ${nameOf(kind, state)}`.toLowerCase().includes(part))
      .filter((state) => kind === 'vehicle' || isCharger(state))
      .slice(0, MOST_OFFERED);
  }, [text, done, states.size]);
  return html`<datalist id="offered">${found.map((state) => html`
    <option key=${state[`${kind}Id`]} value=${state[`${kind}Id`]} label=${nameOf(kind, state)}></option>`)}</datalist>`;
}
