/** What the API finds wrong with a field, in the language of the page. */
import { t } from './texts.js';

/** The API's sentences; their groups are `{value}`, `{other}` and `{more}` of the text `fault.…`. */
const SENTENCES = {
  atLeast: /^Expected `.*` >= (\S+)$/,
  atMost: /^Expected `.*` <= (\S+)$/,
  moreThan: /^Expected `.*` > (\S+)$/,
  lessThan: /^Expected `.*` < (\S+)$/,
  between: /must be from (.+) to (.+)$/,
  empty: /^Expected `(?:str|array)` of length >= 1$|^Expected `null`, got `str`$/,
  tooLong: /^Expected `str` of length <= (\d+)$/,
  whole: /^Expected `int(?: \| null)?`, got/,
  number: /^Expected `float(?: \| null)?`, got/,
  missing: /^Object missing required field `(\w+)`$/,
  order: /^must be before to$/,
  future: /^must be in the future$/,
  exceeds: /^(\w+) must not exceed (\w+)$/,
  below: /^(\w+) must not be less than (\w+)$/,
  time: /^(?:is not an|must be an|Invalid) RFC ?3339/,
  zone: /^(.+) is not an IANA time zone/,
  printable: /^must be (\d+) to (\d+) printable (?:ASCII )?characters/,
  characters: /^must be (\d+) to (\d+) of (?:the characters )?(.+?),? and not/,
  scopes: /^must be one or more of/,
  url: /^the URL must be http/,
  choice: /^Invalid enum value/,
};

/** Return the page's sentence for the API's, or the API's own, which is English. @param {string} detail */
export function faultText(detail) {
  for (const [name, sentence] of Object.entries(SENTENCES)) {
    const found = sentence.exec(detail);
    if (found) return t(`fault.${name}`, { value: found[1], other: found[2], more: found[3] });
  }
  return detail;
}
