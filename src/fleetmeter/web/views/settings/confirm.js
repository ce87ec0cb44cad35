/** Asks before something is done, and shows why it failed. */
import { ApiError } from '../../lib/api.js';
import { html, useState } from '../../lib/html.js';
import { t } from '../../lib/texts.js';
import { Dialog } from '../../parts/dialog.js';
import { errorText } from '../../parts/states.js';

/** Return `{busy, wrong, run}`: `run(action)` keeps the sentence of an `ApiError` in `wrong`. */
export function useAction() {
  const [state, setState] = useState({ busy: false, wrong: null, field: null });
  const run = async (action) => {
    setState({ busy: true, wrong: null, field: null });
    try {
      await action();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      setState({ busy: false, wrong: errorText(error), field: error.problem?.errors?.[0]?.path ?? null });
      return;
    }
    setState({ busy: false, wrong: null, field: null });
  };
  return { ...state, run };
}

/** @param {{title: string, verb: string, danger?: boolean, act: () => Promise<any>, onClose: () => void, children: any}} properties */
export function Confirm({ title, verb, danger, act, onClose, children }) {
  const { busy, wrong, run } = useAction();
  const submit = (event) => {
    event.preventDefault();
    run(async () => {
      await act();
      onClose();
    });
  };
  return html`
    <${Dialog} title=${title} onClose=${onClose}>
      <form class="stack" onSubmit=${submit}>
        ${children}
        ${wrong && html`<p class="form-wrong" role="alert">${wrong}</p>`}
        <div class="dialog-foot">
          <button type="button" class="button" onClick=${onClose}>${t('action.cancel')}</button>
          <button class=${`button ${danger ? 'danger' : 'primary'}`} disabled=${busy}>${verb}</button>
        </div>
      </form>
    <//>`;
}
