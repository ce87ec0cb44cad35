/**
 * Reads a stream of server-sent events. An EventSource would make an event of each message, which costs more than all
 * that the page does with it when thousands come in a second.
 */
import { ApiError } from './api.js';

/**
 * Read until the stream ends. Raises what fetch does, and ApiError for an answer other than a stream.
 * @param {string} address
 * @param {{signal: AbortSignal, opened: () => void, told: (event: {event: string, id: string, data: string}) => void}} options
 */
export async function readEvents(address, { signal, opened, told }) {
  const answer = await fetch(address, { signal, credentials: 'same-origin', cache: 'no-store', headers: { Accept: 'text/event-stream' } });
  if (!answer.ok) throw new ApiError(answer.status, {});
  opened();
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const text = rest + value;
    const end = text.lastIndexOf('\n\n');
    rest = text.slice(end < 0 ? 0 : end + 2);
    if (end < 0) continue;
    for (const block of text.slice(0, end).split('\n\n')) told(parsed(block));
  }
}

/** Return the fields of a message; a comment has no data. */
function parsed(block) {
  const found = { event: 'message', id: '', data: '' };
  for (const line of block.split('\n')) {
    const colon = line.indexOf(': ');
    if (colon > 0) found[line.slice(0, colon)] = line.slice(colon + 2);
  }
  return found;
}
