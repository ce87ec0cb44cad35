/** Light, dark, or as the system has it; and the colours in force, for canvases. */
import { createRemembered, createStore } from './store.js';

export const THEMES = ['system', 'light', 'dark'];

export const theme = createRemembered('theme', 'system', THEMES);

/** Rises whenever the colours in force change: what is drawn on a canvas must be drawn again. */
export const colours = createStore(0);

theme.subscribe((value) => {
  if (value === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = value;
  colours.set(colours.get() + 1);
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => colours.set(colours.get() + 1));

let probe = null;

/**
 * Return a colour of tokens.css as it is in the theme in force.
 * @param {string} name without the dashes, such as `ac` or `ink-muted`
 * @returns {string} such as `rgb(11, 121, 193)`
 */
export function colour(name) {
  if (!probe) {
    probe = document.createElement('i');
    probe.hidden = true;
    document.body.append(probe);
  }
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

/** Return the same colour with an opacity from 0 to 1. */
export function faded(name, opacity) {
  return `color-mix(in srgb, ${colour(name)} ${opacity * 100}%, transparent)`;
}
