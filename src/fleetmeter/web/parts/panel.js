/** A frame with a title, the actions beside it, and content or what stands in its place. */
import { html } from '../lib/html.js';
import { CsvButton, RequestButton } from './actions.js';
import { Failed, Loading, errorText } from './states.js';

/**
 * @param {{
 *   title: string, detail?: any, actions?: any, flush?: boolean,
 *   query?: ReturnType<typeof import('../lib/query.js').useQuery>, request?: string | string[],
 *   csv?: () => {name: string, columns: string[], rows: unknown[][]}, height?: number, children: any,
 * }} properties
 * With a `query`, children is a function of its data, drawn once there are any; the API request is the query's.
 * `flush`: content reaches the edges (tables). `height`: of the grey shape while loading, in px.
 */
export function Panel({ title, detail, actions, flush, query, request = query?.request, csv, height, children }) {
  const ready = !query || query.data !== null;
  return html`
    <section class=${flush ? 'panel flush' : 'panel'} aria-label=${title} aria-busy=${Boolean(query?.loading && !ready)}>
      <header class="panel-head">
        <h2>${title}</h2>
        ${actions}
        ${(csv || request) && html`<div class="row">
          ${csv && ready && html`<${CsvButton} csv=${csv} />`}
          ${request && html`<${RequestButton} request=${request} />`}
        </div>`}
        ${detail && html`<p class="muted small">${detail}</p>`}
      </header>
      <div class="panel-body">${content(query, height, children)}</div>
      ${query?.error && ready && html`<p class="panel-note" role="status">${errorText(query.error)}</p>`}
    </section>`;
}

function content(query, height, children) {
  if (!query) return typeof children === 'function' ? children() : children;
  if (query.data !== null) return typeof children === 'function' ? children(query.data) : children;
  if (query.error) return html`<${Failed} error=${query.error} retry=${query.reload} />`;
  return html`<${Loading} height=${height} />`;
}
