/** Who looks at the page, and what they may do. */
import { ApiError, connectSession, del, get, post } from './api.js';
import { createStore } from './store.js';

const PATH = '/v1/session';
const PLACE = 'fleetmeter.place';

/** Why nobody came back from the OIDC issuer signed in, once: the address does not keep it. */
const failed = new URLSearchParams(location.search).get('signIn');
if (failed) history.replaceState(null, '', location.pathname + location.hash);

/**
 * `failed`: of a sign-in at the issuer; a text is there for it. `state`: 'loading', 'in', 'out' or 'failed'; `who`: the session as the API describes it.
 * @type {ReturnType<typeof createStore<{state: string, who: any, signIn: {key: boolean, oidc: boolean}, failed: string | null, error?: Error}>>}
 */
export const session = createStore({ state: 'loading', who: null, signIn: { key: true, oidc: false }, failed });

const out = (problem) => session.update({ state: 'out', who: null, signIn: problem.signIn ?? session.get().signIn });

connectSession({ csrfToken: () => session.get().who?.csrfToken ?? null, unauthenticated: out });

/** Ask who is signed in. */
export async function loadSession() {
  try {
    session.update({ state: 'in', failed: null, who: await get(PATH, {}, { quiet: true }) });
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) out(error.problem);
    else session.update({ state: 'failed', error });
  }
}

/** Look whether the session has ended: an EventSource does not tell why it was refused. */
export async function checkSession() {
  try {
    await get(PATH, {}, { quiet: true });
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) out(error.problem);
  }
}

/** Keep the view asked for while the browser is at the issuer: its redirects lose what comes after the #. */
export function keepPlace() {
  try {
    sessionStorage.setItem(PLACE, location.hash);
  } catch {
    // without storage, one comes back to the first view
  }
}

/** Go to the view kept before, once. */
export function returnToPlace() {
  try {
    const kept = sessionStorage.getItem(PLACE);
    sessionStorage.removeItem(PLACE);
    if (kept?.startsWith('#') && !location.hash) location.replace(kept);
  } catch {
    // as above
  }
}

/** Sign in with an access key. Raises ApiError. */
export async function signIn(key) {
  session.update({ state: 'in', failed: null, who: await post(PATH, { key }, { quiet: true }) });
}

export async function signOut() {
  await del(PATH, { quiet: true });
  out({});
}

/** Return whether whoever looks may do what needs a scope: `can('operate')`. */
export const can = (scope) => session.get().who?.scopes.includes(scope) ?? false;
