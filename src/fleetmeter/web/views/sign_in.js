/** Asks for an access key, or sends to the OIDC issuer; then one is where one was. */
import { html, useState } from '../lib/html.js';
import { keepPlace, session, signIn } from '../lib/session.js';
import { useStore } from '../lib/store.js';
import { known, t } from '../lib/texts.js';
import { Field } from '../parts/field.js';
import { Mark } from '../parts/icon.js';
import { errorText } from '../parts/states.js';

export function SignIn() {
  const { signIn: ways, failed } = useStore(session);
  const why = failed && known(`signIn.${failed}`, null);
  return html`
    <main class="alone">
      <div class="sign-in">
        <span class="brand"><${Mark} />${t('app.name')}</span>
        <h1>${t('signIn.title')}</h1>
        ${why && html`<p class="form-wrong" role="alert">${why}</p>`}
        ${ways.key && html`<${KeyForm} />`}
        ${ways.key && ways.oidc && html`<p class="or">${t('signIn.or')}</p>`}
        ${ways.oidc && html`<a class="button" href="/sign-in" onClick=${keepPlace}>${t('signIn.oidc')}</a>`}
      </div>
    </main>`;
}

function KeyForm() {
  const [key, setKey] = useState('');
  const [wrong, setWrong] = useState(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    setWrong(null);
    try {
      await signIn(key.trim());
    } catch (error) {
      setWrong(error.status === 401 ? t('signIn.wrong') : errorText(error));
      setBusy(false);
    }
  };
  return html`
    <form onSubmit=${submit}>
      <${Field} label=${t('signIn.key')} type="password" name="key" autocomplete="current-password" required autofocus
        value=${key} onInput=${setKey} help=${t('signIn.keyHelp')} wrong=${wrong} />
      <button class="button primary" disabled=${busy}>${t('signIn.submit')}</button>
    </form>`;
}
