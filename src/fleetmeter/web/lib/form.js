/** Forms that show beside each field what the server finds wrong with it. */
import { faultText } from './faults.js';
import { useState } from './html.js';
import { errorText } from '../parts/states.js';

/**
 * @param {Record<string, string>} initial values by name; names are those of the body
 * @param {(values: Record<string, string>) => Promise<void>} send raises ApiError
 * @returns `field('name')`: value, onInput and wrong, for `Field`; `error`: what belongs to no field; `busy`; `submit`
 */
export function useForm(initial, send) {
  const [values, setValues] = useState(initial);
  const [wrong, setWrong] = useState({});
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);

  const field = (name) => ({
    name, value: values[name], wrong: wrong[name],
    onInput: (value) => {
      setValues((before) => ({ ...before, [name]: value }));
      setWrong((before) => ({ ...before, [name]: undefined }));
    },
  });

  const run = async (task) => {
    setBusy(true);
    setWrong({});
    setError(null);
    try {
      await task(values);
    } catch (thrown) {
      const faults = (thrown.problem?.errors ?? []).map(({ path, detail }) => [path.replace(/^\$\.?/, ''), faultText(detail)]);
      const known = faults.filter(([name]) => name in initial);
      setWrong(Object.fromEntries(known));
      setError(known.length && known.length === faults.length ? null : errorText(thrown));
      setBusy(false);
    }
  };
  const submit = (event) => {
    event.preventDefault();
    return run(send);
  };
  return { values, field, error, busy, submit, run };
}

/** The number in a field; null when it is empty. */
export const numberIn = (text) => (text.trim() === '' ? null : Number(text));
