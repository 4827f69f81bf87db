// Pools or servers side by side: a row for each scenario, a column for each of them. A cell leads to its reports, and
// says what servers did besides.

function crossOutcome(cell, ending, number) {
  const { report } = ending, { live, zombies } = report.counts;
  const count = failed(report) && wasCounted(report) ? ` ${live}/${zombies}` : '';
  const often = cell.replays.length > 1 ? ` ${ending.count} of ${cell.replays.length}` : '';
  return element('div', {}, element('a', { href: `#report-${number}` }, badge(report.verdict)), count,
    element('span', { class: 'quiet' }, often));
}

function crossCell({ places, time, facts }, cells, numbers) {
  if (places.length === 0) return element('td', {}, '–');
  const outcomes = places.flatMap((place) => cells[place].endings.map((ending, i) =>
    crossOutcome(cells[place], ending, numbers[place][i])));
  return element('td', {}, outcomes, time ? element('div', { class: 'quiet' }, time) : null,
    list(facts, { class: 'plain' }));
}

function crossOf({ pools, rows, notices, notices_title: title }, cells, numbers) {
  const column = (text) => element('th', { scope: 'col', title: text }, clipped(text, 40));
  const rowOf = (row) => element('tr', {},
    element('th', { scope: 'row' }, clipped(row.scenario, 60), element('div', { class: 'quiet' }, clipped(row.start, 40))),
    row.cells.map((cell) => crossCell(cell, cells, numbers)));
  const last = notices.length > 0 ? element('tr', {}, element('th', { scope: 'row' }, title),
    notices.map((word) => element('td', {}, word))) : null;
  return element('section', {}, element('h2', {}, 'Side by side'),
    element('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Side by side' },
      element('table', { class: 'cross' },
        element('thead', {}, element('tr', {}, element('th', {}), pools.map(column))),
        element('tbody', {}, rows.map(rowOf), last))));
}
