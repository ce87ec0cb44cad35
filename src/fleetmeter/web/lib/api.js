/** Requests to the API: JSON in and out, problems as errors. */

/** A request that failed. `status` is 0 when no answer came. */
export class ApiError extends Error {
  constructor(status, problem) {
    super(problem.detail ?? problem.title ?? String(status));
    this.name = 'ApiError';
    this.status = status;
    this.problem = problem;
    /** Whether the service was not reached at all. */
    this.offline = status === 0;
  }
}

const hooks = { csrfToken: () => null, unauthenticated: () => {} };

/** Let the session give its token to requests, and hear when it has ended. */
export const connectSession = (given) => Object.assign(hooks, given);

/**
 * Return a path with a query; what is null, undefined or '' is left out.
 * @param {string} path with ids encoded: use `path` to make it
 * @param {Record<string, unknown>} [parameters]
 */
export function url(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== null && each !== undefined && each !== '') query.append(name, String(each));
    }
  }
  return query.size ? `${path}?${query}` : path;
}

/** Return a path whose values are encoded: path`/v1/vehicles/${id}/energy`. */
export const path = (texts, ...values) =>
  texts.reduce((done, text, index) => done + encodeURIComponent(String(values[index - 1])) + text);

/**
 * Send a request. Raises ApiError.
 * @param {string} method
 * @param {string} address path and query
 * @param {{body?: unknown, signal?: AbortSignal, quiet?: boolean, maxAgeS?: number}} [options] `quiet`: a 401 does not end
 *   the session; `maxAgeS`: analytics may be what others were answered that many seconds ago
 * @returns {Promise<any>} the JSON of the answer, or null
 */
export async function send(method, address, { body, signal, quiet, maxAgeS } = {}) {
  const headers = { Accept: 'application/json' };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (maxAgeS) headers['Cache-Control'] = `max-age=${maxAgeS}`;
  const token = hooks.csrfToken();
  if (method !== 'GET' && token) headers['X-CSRF-Token'] = token;
  let answer;
  try {
    answer = (method === 'GET' && await early(address)) || await fetch(address, {
      method, headers, signal, credentials: 'same-origin', body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError(0, {});
  }
  const document = /\bjson\b/.test(answer.headers.get('content-type') ?? '') ? await answer.json() : null;
  if (answer.ok) return document;
  if (answer.status === 401 && !quiet) hooks.unauthenticated(document ?? {});
  throw new ApiError(answer.status, document ?? {});
}

/** Return the answer that before_paint.classic.js asked for, once; null without one. */
async function early(address) {
  const asked = window.early.requests[address];
  delete window.early.requests[address];
  return asked ? asked.catch(() => null) : null;
}

export const get = (address, parameters, options) => send('GET', url(address, parameters), options);
export const post = (address, body, options) => send('POST', address, { ...options, body });
export const put = (address, body, options) => send('PUT', address, { ...options, body });
export const patch = (address, body, options) => send('PATCH', address, { ...options, body });
export const del = (address, options) => send('DELETE', address, options);

/**
 * Return the items of all pages, up to `most` of them, and whether there are more. `onPage(items)`: as each arrives;
 * `first`: the limit of the first page, so that it is there soon.
 */
export async function getAll(address, parameters = {}, { most = 20_000, first, onPage, ...options } = {}) {
  const items = [];
  let cursor;
  do {
    const limit = (!cursor && first) || parameters.limit;
    const page = await get(address, { ...parameters, limit, cursor }, options);
    items.push(...page.items);
    onPage?.(page.items);
    cursor = page.nextCursor;
  } while (cursor && items.length < most);
  return { items, more: Boolean(cursor) };
}
