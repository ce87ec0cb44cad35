/** Starts the page. */
import { Shell } from './parts/shell.js';
import { html, render } from './lib/html.js';
import { loadSession, returnToPlace } from './lib/session.js';

returnToPlace();
loadSession();
render(html`<${Shell} />`, document.getElementById('app'));
