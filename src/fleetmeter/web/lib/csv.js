/** Comma-separated values (RFC 4180), made here out of what is shown. */

const ODD = /[",\r\n]/;
const FORMULA = /^[=+\-@\t\r]/;

function cell(value) {
  if (value === null || value === undefined) return '';
  let text = value instanceof Date ? value.toISOString() : String(value);
  // a spreadsheet would run it
  if (typeof value === 'string' && FORMULA.test(text)) text = `'${text}`;
  return ODD.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * @param {string[]} names of the columns
 * @param {unknown[][]} rows
 */
export const toCsv = (names, rows) => [names, ...rows].map((row) => row.map(cell).join(',')).join('\r\n') + '\r\n';

/** Have the browser save a text as a file. */
export function download(name, text, type = 'text/csv;charset=utf-8') {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
