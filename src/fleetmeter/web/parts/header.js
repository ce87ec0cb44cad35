/** What is around every view: navigation, connection, and the menu of account and display. */
import { html, useId } from '../lib/html.js';
import { number } from '../lib/formats.js';
import { useOpenAnomalies } from '../lib/open_anomalies.js';
import { link, usePlace } from '../lib/router.js';
import { can, session, signOut } from '../lib/session.js';
import { useStore } from '../lib/store.js';
import { connection, retryNow } from '../lib/stream.js';
import { LANGUAGES, language, speak, t } from '../lib/texts.js';
import { THEMES, theme } from '../lib/theme.js';
import { Segments } from './field.js';
import { Icon, Mark } from './icon.js';
import { toastError } from './toast.js';

/** @param {{routes: import('../views/routes.js').Route[]}} properties */
export const Header = ({ routes }) => html`
  <header class="header">
    <div class="header-inner">
      <a class="brand" href=${link('/')}><${Mark} />${t('app.name')}</a>
      <${Navigation} routes=${routes} />
      <div class="row header-end">
        <${Connection} />
        <${Menu} />
      </div>
    </div>
    <${Lost} />
  </header>`;

function Navigation({ routes }) {
  const { path } = usePlace();
  const anomalies = useOpenAnomalies();
  const shown = routes.filter(({ nav, scope }) => nav && (!scope || [scope].flat().some(can)));
  const isIn = ({ pattern }) => (pattern === '/' ? path === '/' : path === pattern || path.startsWith(`${pattern}/`));
  return html`
    <nav class="nav" aria-label=${t('nav.label')}>
      ${shown.map((route) => html`
        <a key=${route.pattern} href=${link(route.pattern)} aria-current=${isIn(route) ? 'page' : undefined}>
          <${Icon} name=${route.nav.icon} /><span>${t(route.nav.text)}</span>
          ${route.nav.counted && anomalies.count > 0 && html`<${Count} ...${anomalies} />`}
        </a>`)}
    </nav>`;
}

function Count({ count, more }) {
  const text = more ? `${number(count - 1)}+` : number(count);
  return html`<span class="count" title=${t('nav.openAnomalies', { count: text })}>${text}</span>`;
}

function Connection() {
  const { state } = useStore(connection);
  return html`<span class="connection" data-state=${state} role="status" title=${t(`connection.${state}`)}><span>${t(`connection.${state}`)}</span></span>`;
}

function Lost() {
  const { state } = useStore(connection);
  if (state !== 'reconnecting' && state !== 'offline') return null;
  return html`
    <div class="notice" role="status">
      <span>${t('connection.lost')}</span>
      <button class="button quiet small" onClick=${retryNow}>${t('action.retry')}</button>
    </div>`;
}

function Menu() {
  const id = useId();
  const { who } = useStore(session);
  const chosenLanguage = useStore(language);
  const chosenTheme = useStore(theme);
  const leave = () => signOut().catch(toastError);
  return html`
    <div class="menu">
      <button class="button quiet icon-only" popovertarget=${id} aria-label=${t('menu.label')} title=${t('menu.label')}><${Icon} name="person" /></button>
      <div id=${id} popover="auto">
        <p class="muted">${who.open ? t('menu.open') : t('menu.signedInAs', { name: who.name })}</p>
        <div class="stack">
          <h3>${t('menu.theme')}</h3>
          <${Segments} label=${t('menu.theme')} value=${chosenTheme} onChange=${theme.set} options=${THEMES.map((each) => [each, t(`theme.${each}`)])} />
          <h3>${t('menu.language')}</h3>
          <${Segments} label=${t('menu.language')} value=${chosenLanguage} onChange=${(code) => speak(code).catch(toastError)} options=${Object.entries(LANGUAGES)} />
        </div>
        <a href="/docs" target="_blank" rel="noreferrer">${t('menu.reference')}</a>
        ${!who.open && html`<button class="button" onClick=${leave}>${t('menu.signOut')}</button>`}
      </div>
    </div>`;
}
