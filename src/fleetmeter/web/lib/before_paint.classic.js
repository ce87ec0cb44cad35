// Runs before the modules are there: a chosen theme does not flash, and what is needed first is on its way meanwhile.
(() => {
  const remembered = (name) => {
    try {
      return localStorage.getItem(`fleetmeter.${name}`);
    } catch {
      return null; // without storage, nothing is remembered
    }
  };
  const theme = remembered('theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;

  const wanted = [remembered('language'), ...navigator.languages.map((each) => each.slice(0, 2))];
  const language = wanted.find((each) => ['en', 'de'].includes(each)) ?? 'en';
  const texts = document.createElement('link');
  texts.rel = 'modulepreload';
  texts.href = new URL(`../texts/${language}.js`, document.currentScript.src);
  document.head.append(texts);

  const ask = (address) => fetch(address, { credentials: 'same-origin', headers: { Accept: 'application/json', 'Cache-Control': 'max-age=10' } });
  const first = {
    '/': '/v1/analytics/now',
    '/vehicles': '/v1/vehicles?limit=100',
    '/meters': '/v1/meters?limit=100',
  }[location.hash.slice(1).split('?', 1)[0] || '/'];
  const session = ask('/v1/session');
  const requests = { '/v1/session': session };
  if (first) requests[first] = session.then((answer) => (answer.ok ? ask(first) : Promise.reject(answer)));
  for (const each of Object.values(requests)) each.catch(() => {}); // who takes the answer asks again
  window.early = { language, requests };
})();
