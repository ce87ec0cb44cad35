/** All text of the page, in the language chosen. Texts stand in `texts/`, one file per language. */
import { createRemembered, useStore } from './store.js';

/** Language codes, with the name of each in itself. */
export const LANGUAGES = { en: 'English', de: 'Deutsch' };

/** The texts of the languages that were spoken so far. */
const TEXTS = {};

/** At first the browser's; its texts are on their way already (before_paint.classic.js). */
export const language = createRemembered('language', window.early.language, Object.keys(LANGUAGES));

const showLanguage = (code) => { document.documentElement.lang = code; };
showLanguage(language.get());
language.subscribe(showLanguage);

async function load(code) {
  TEXTS[code] ??= (await import(`../texts/${code}.js`))[code];
}

await load(language.get());

/** Choose a language; its texts are loaded first. */
export async function speak(code) {
  await load(code);
  language.set(code);
}

/** Return the locale for Intl: the browser's own where it is of the chosen language. */
export function locale() {
  const chosen = language.get();
  return navigator.languages.find((each) => each.slice(0, 2) === chosen) ?? chosen;
}

/**
 * Return a text. `{name}` in it is replaced by a value; an object `{one, other}` is chosen from by `count`.
 * @param {string} key such as `nav.now`
 * @param {Record<string, unknown>} [values]
 * @returns {string}
 */
export function t(key, values = {}) {
  let text = TEXTS[language.get()][key];
  if (text === undefined) return key;
  if (typeof text === 'object') text = text[new Intl.PluralRules(language.get()).select(Number(values.count))] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (found, name) => String(values[name] ?? found));
}

/** Return the text of a key that may be unknown (a rule, a state), or the fallback. */
export const known = (key, fallback, values) => (key in TEXTS[language.get()] ? t(key, values) : fallback);

/** Draw the component again when the language changes. */
export const useLanguage = () => useStore(language);
