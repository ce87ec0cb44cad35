/** Form fields: a label, an input, help, and what is wrong. */
import { html, useId } from '../lib/html.js';
import { Icon } from './icon.js';

/**
 * @param {{label: string, value: string, onInput: (value: string) => void, help?: any, wrong?: string, type?: string,
 *   options?: [value: string, label: string][], rows?: number} & Record<string, unknown>} properties
 * With `options` it is a select, with `rows` a textarea; further properties go to the input (`required`, `min`, …).
 */
export function Field({ label, value, onInput, help, wrong, options, rows, ...input }) {
  const id = useId();
  const common = {
    ...input, id, value, class: 'input', onInput: (event) => onInput(event.target.value),
    'aria-invalid': wrong ? 'true' : undefined, 'aria-describedby': help || wrong ? `${id}-help` : undefined,
  };
  return html`
    <div class="field">
      <label for=${id}>${label}</label>
      ${options ? html`<select ...${common}>${options.map(([key, text]) => html`<option key=${key} value=${key} selected=${key === value}>${text}</option>`)}</select>`
      : rows ? html`<textarea ...${common} rows=${rows}></textarea>`
      : html`<input ...${common} />`}
      ${(wrong || help) && html`<span id=${`${id}-help`} class=${wrong ? 'wrong' : 'help'} role=${wrong ? 'alert' : undefined}>${wrong || help}</span>`}
    </div>`;
}

/** A search box without a visible label. @param {{label: string, value: string, onInput: (value: string) => void}} properties */
export const Search = ({ label, value, onInput }) => html`
  <div class="search" role="search">
    <${Icon} name="search" />
    <input class="input" type="search" aria-label=${label} placeholder=${label} value=${value} onInput=${(event) => onInput(event.target.value)} />
  </div>`;

/** A choice among many, without a visible label. @param {{label: string, value: string, onChange: (value: string) => void, options: [string, string][]}} properties */
export const Select = ({ label, value, onChange, options }) => html`
  <select class="input select" aria-label=${label} value=${value} onInput=${(event) => onChange(event.target.value)}>
    ${options.map(([key, text]) => html`<option key=${key} value=${key} selected=${key === value}>${text}</option>`)}
  </select>`;

/** A few choices side by side, one of which holds. @param {{label: string, value: string, onChange: (value: string) => void, options: [string, any][]}} properties */
export const Segments = ({ label, value, onChange, options }) => html`
  <div class="segments" role="group" aria-label=${label}>
    ${options.map(([key, text]) => html`
      <button key=${key} type="button" aria-pressed=${String(key === value)} onClick=${() => onChange(key)}>${text}</button>`)}
  </div>`;
