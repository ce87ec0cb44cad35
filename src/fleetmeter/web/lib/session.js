/** Who looks at the page, and what they may do. */
import { ApiError, connectSession, del, get, post } from './api.js';
import { createStore } from './store.js';

export const SCOPES = ['ingest', 'read', 'operate', 'admin', 'metrics'];
const PATH = '/v1/session';

/**
 * `state`: 'loading', 'in', 'out' or 'failed'; `who`: the session as the API describes it.
 * @type {ReturnType<typeof createStore<{state: string, who: any, signIn: {key: boolean, oidc: boolean}, error?: Error}>>}
 */
export const session = createStore({ state: 'loading', who: null, signIn: { key: true, oidc: false } });

const out = (problem) => session.update({ state: 'out', who: null, signIn: problem.signIn ?? session.get().signIn });

connectSession({ csrfToken: () => session.get().who?.csrfToken ?? null, unauthenticated: out });

/** Return the session of a service that has none yet: open, as on one's own machine. */
const withoutSessions = () => ({ name: null, scopes: SCOPES, devices: null, sites: null, csrfToken: null, expiresAt: null, open: true });

/** Ask who is signed in. */
export async function loadSession() {
  try {
    session.update({ state: 'in', who: await get(PATH, {}, { quiet: true }) });
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) out(error.problem);
    else if (error instanceof ApiError && error.status === 404) session.update({ state: 'in', who: withoutSessions() });
    else session.update({ state: 'failed', error });
  }
}

/** Sign in with an access key. Raises ApiError. */
export async function signIn(key) {
  session.update({ state: 'in', who: await post(PATH, { key }, { quiet: true }) });
}

export async function signOut() {
  await del(PATH, { quiet: true });
  out({});
}

/** Return whether whoever looks may do what needs a scope: `can('operate')`. */
export const can = (scope) => session.get().who?.scopes.includes(scope) ?? false;
