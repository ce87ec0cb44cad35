/** What every component needs of Preact and htm, in one import. */
import htm from '../vendor/htm.js';
import { h } from '../vendor/preact.js';

export { createContext, Fragment, render } from '../vendor/preact.js';
export {
  useCallback, useContext, useEffect, useErrorBoundary, useId, useLayoutEffect, useMemo, useReducer, useRef, useState,
} from '../vendor/hooks.js';

export const html = htm.bind(h);
