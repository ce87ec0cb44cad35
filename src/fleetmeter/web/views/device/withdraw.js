/** Takes a device out of live state and lists; its history stays. */
import { html } from '../../lib/html.js';
import { del, path } from '../../lib/api.js';
import { useForm } from '../../lib/form.js';
import { go, link } from '../../lib/router.js';
import { dropStates } from '../../lib/stream.js';
import { t } from '../../lib/texts.js';
import { FormDialog } from '../../parts/form.js';
import { toast } from '../../parts/toast.js';

export function Withdraw({ kind, id, onClose }) {
  const form = useForm({}, async () => {
    await del(path`/v1/${`${kind}s`}/${id}`);
    dropStates(kind, [id]);
    toast(t('withdraw.done', { id }));
    go(link(`/${kind}s`));
  });
  return html`
    <${FormDialog} title=${t('withdraw.title', { id })} form=${form} onClose=${onClose} danger action=${t('withdraw.action')}>
      <p>${t('withdraw.detail')}</p>
    <//>`;
}
