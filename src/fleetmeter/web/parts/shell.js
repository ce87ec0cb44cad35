/** Shows the view of the address to who is signed in, and everybody else how to sign in. */
import { html, useEffect, useErrorBoundary, useRef } from '../lib/html.js';
import { loadRest } from '../lib/lazy.js';
import { link, match, usePlace } from '../lib/router.js';
import { checkSession, loadSession, session } from '../lib/session.js';
import { useStore } from '../lib/store.js';
import { connect, connection, disconnect } from '../lib/stream.js';
import { t, useLanguage } from '../lib/texts.js';
import { ROUTES } from '../views/routes.js';
import { SignIn } from '../views/sign_in.js';
import { Header } from './header.js';
import { Empty, Failed } from './states.js';
import { Toasts } from './toast.js';

export function Shell() {
  useLanguage();
  const { state, error } = useStore(session);
  useEffect(() => {
    if (state !== 'in') return undefined;
    connect();
    loadRest();
    const end = connection.subscribe((now) => now.state === 'reconnecting' && checkSession());
    return () => {
      end();
      disconnect();
    };
  }, [state]);
  if (state === 'loading') return html`<header class="header"><div class="header-inner"><span class="brand">${t('app.name')}</span></div></header>`; // as in index.html
  if (state === 'failed') return html`<main class="alone"><${Failed} error=${error} retry=${loadSession} /></main>`;
  if (state === 'out') return html`<${SignIn} /><${Toasts} />`;
  return html`<${Inside} /><${Toasts} />`;
}

function Inside() {
  const { path } = usePlace();
  const main = useRef(null);
  const before = useRef(path);
  const [route, ids] = found(path);
  const titled = route?.title ?? route?.nav?.text;
  const title = titled && t(titled);

  useEffect(() => {
    document.title = [ids && Object.values(ids)[0], title, t('app.name')].filter(Boolean).join(' · ');
  });
  useEffect(() => {
    if (before.current === path) return;
    before.current = path;
    window.scrollTo(0, 0);
    main.current.focus({ preventScroll: true });
  }, [path]);
  const skip = (event) => {
    event.preventDefault();
    main.current.focus();
  };
  return html`
    <a class="skip" href="#" onClick=${skip}>${t('app.skip')}</a>
    <${Header} routes=${ROUTES} />
    <main class="main" ref=${main} tabindex="-1">
      ${route ? html`<${Guarded} key=${path} view=${route.view} properties=${{ ...route.properties, ...ids }} />` : html`<${NotFound} />`}
    </main>`;
}

function found(path) {
  for (const route of ROUTES) {
    const ids = match(route.pattern, path);
    if (ids) return [route, ids];
  }
  return [null, null];
}

/** A view that fails must not take the navigation with it. */
function Guarded({ view, properties }) {
  const [error, reset] = useErrorBoundary((thrown) => console.error(thrown));
  if (error) return html`<${Failed} error=${{ message: `${t('app.broken')}: ${error.message ?? error}` }} retry=${reset} />`;
  return html`<${view} ...${properties} />`;
}

const NotFound = () => html`
  <${Empty} title=${t('app.notFound')}>${t('app.notFoundDetail')} <a href=${link('/')}>${t('app.home')}</a><//>`;
