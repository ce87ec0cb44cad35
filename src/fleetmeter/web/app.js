/** Starts the page. */
import { Shell } from './parts/shell.js';
import { html, render } from './lib/html.js';
import { loadSession } from './lib/session.js';

loadSession();
render(html`<${Shell} />`, document.getElementById('app'));
