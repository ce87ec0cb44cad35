/** Where the energy of a window went, as nodes and bands of a flow: no band that was not metered. */
import { energy, share } from '../lib/formats.js';
import { t } from '../lib/texts.js';

const NEGLIGIBLE_KWH = 0.0005;

/**
 * Return nodes and links for `Sankey`. Chargers are what meters metered; from there to batteries, loss and what no
 * vehicle took. At sites that meter their supply, the grid and the sun are in front of the chargers.
 * @param {any} fleet the answer of /v1/analytics/fleet
 * @param {any[]} supply sites of /v1/analytics/supply
 * @param {any[]} sites of /v1/analytics/sites, as far as they are in `supply`
 */
export function flowOf(fleet, supply, sites) {
  const ac = fleet.totalEnergyConsumedAc ?? 0;
  const dc = fleet.totalEnergyDeliveredDc ?? 0;
  const unattributed = fleet.totalEnergyUnattributedAc ?? 0;
  const loss = Math.max(0, fleet.energyLoss ?? 0);
  const rest = ac - unattributed - loss - dc;
  const links = [
    ...before(ac, supply, sites),
    { from: 'chargers', to: 'batteries', value: Math.min(dc, Math.max(0, ac - unattributed - loss)), tone: 'dc' },
    { from: 'unmetered', to: 'batteries', value: Math.max(0, -rest), tone: 'unattributed' },
    { from: 'chargers', to: 'loss', value: loss, tone: 'loss' },
    { from: 'chargers', to: 'unattributed', value: unattributed, tone: 'unattributed' },
    { from: 'chargers', to: 'uncompared', value: Math.max(0, rest), tone: 'info' },
  ].filter((each) => each.value > NEGLIGIBLE_KWH);
  const all = [
    node('grid', 0, 'ac', links), node('solar', 0, 'solar', links),
    { ...node('chargers', 1, 'ac', links), figure: energy(fleet.totalEnergyConsumedAc) }, node('unmetered', 1, 'unattributed', links),
    { ...node('batteries', 2, 'dc', links), figure: energy(dc), detail: ac > 0 && fleet.efficiencyRatio !== null ? share(dc / ac) : undefined },
    node('loss', 2, 'loss', links, ac), node('unattributed', 2, 'unattributed', links, ac), node('uncompared', 2, 'info', links, ac),
    node('site', 2, 'info', links),
  ];
  return { nodes: all.filter(({ id }) => links.some((each) => each.from === id || each.to === id)), links };
}

const node = (id, column, tone, links, of) => {
  const value = links.reduce((total, each) => total + (each.from === id || each.to === id ? each.value : 0), 0);
  return { id, column, tone, label: t(`now.flow.${id}`), figure: energy(value), detail: of > 0 ? share(value / of) : undefined };
};

/** Return the bands from grid and sun. Of a site that meters both, chargers take their part of each alike. */
function before(ac, supply, sites) {
  const sums = { grid: ac, sun: 0, gridElsewhere: 0, sunElsewhere: 0 };
  for (const each of supply) {
    const used = sites.find(({ site }) => site === each.site)?.energyConsumedAc ?? 0;
    const [fromGrid, fromSun] = [each.grid?.energyConsumedAc ?? null, each.solar?.energyConsumedAc ?? 0];
    if (fromGrid === null || fromGrid + fromSun < used) continue; // not all of its supply is metered
    const part = fromGrid + fromSun > 0 ? used / (fromGrid + fromSun) : 0;
    sums.grid += fromGrid * part - used;
    sums.sun += fromSun * part;
    sums.gridElsewhere += fromGrid * (1 - part);
    sums.sunElsewhere += fromSun * (1 - part);
  }
  return [
    { from: 'grid', to: 'chargers', value: sums.grid, tone: 'ac' },
    { from: 'solar', to: 'chargers', value: sums.sun, tone: 'solar' },
    { from: 'grid', to: 'site', value: sums.gridElsewhere, tone: 'ac' },
    { from: 'solar', to: 'site', value: sums.sunElsewhere, tone: 'solar' },
  ];
}
