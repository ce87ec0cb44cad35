/** A window over the page, with the browser's own keyboard and focus. */
import { html, useEffect, useId, useRef } from '../lib/html.js';
import { t } from '../lib/texts.js';
import { Icon } from './icon.js';

/** Open while it is in the page. @param {{title: string, onClose: () => void, wide?: boolean, children: any}} properties */
export function Dialog({ title, onClose, wide, children }) {
  const element = useRef(null);
  const id = useId();
  useEffect(() => {
    const dialog = element.current;
    dialog.showModal();
    return () => dialog.close();
  }, []);
  const closeOutside = (event) => event.target === element.current && onClose();
  const cancel = (event) => {
    event.preventDefault();
    onClose();
  };
  return html`
    <dialog ref=${element} class=${wide ? 'wide' : ''} aria-labelledby=${id} onCancel=${cancel} onMouseDown=${closeOutside}>
      <div class="dialog-head">
        <h2 id=${id}>${title}</h2>
        <button class="button quiet icon-only" aria-label=${t('action.close')} onClick=${onClose}><${Icon} name="close" /></button>
      </div>
      <div class="dialog-body">${children}</div>
    </dialog>`;
}
