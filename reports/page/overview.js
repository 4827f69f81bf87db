// The head: how often each verdict came, and the table that leads to the reports. A verdict's count shows its rows
// only, when pressed.

function headOf(reports) {
  const first = reports[0];
  const started = reports.map((report) => report.started).sort();
  return element('header', {},
    element('h1', {}, 'pidleak', element('span', {}, ' report')),
    first ? element('p', { class: 'quiet' }, [`${counted(reports.length, 'replay')}`, started[0].replace('T', ' ').replace('Z', ' UTC'),
      first.machine.kernel, `pidleak ${first.tool.version}`].join(' · ')) : element('p', {}, 'There is no report in it.'));
}

function verdictCounts(reports) {
  return verdicts.map((verdict) => [verdict, reports.filter((report) => report.verdict === verdict.name).length])
    .filter(([, count]) => count > 0);
}

function proportions(counts) {
  return element('div', { class: 'proportions', 'aria-hidden': 'true' }, counts.map(([verdict, count]) => {
    const share = element('span', { class: `is-${verdict.name}` });
    share.style.flexGrow = count;
    return share;
  }));
}

function chipsOf(counts, show) {
  const chips = counts.map(([verdict, count]) => element('button', { type: 'button', class: `chip is-${verdict.name}`, 'aria-pressed': 'false',
    'data-verdict': verdict.name, title: `${verdict.meaning}: show only these` },
  element('span', { class: 'count' }, String(count)),
  element('span', { class: 'word' }, element('span', { class: 'mark', 'aria-hidden': 'true' }, verdict.mark), verdict.name)));
  for (const chip of chips)
    chip.addEventListener('click', () => {
      const pressed = chip.getAttribute('aria-pressed') !== 'true';
      for (const other of chips) other.setAttribute('aria-pressed', String(pressed && other === chip));
      show(pressed ? chip.dataset.verdict : null);
    });
  return element('div', { class: 'chips', role: 'group', 'aria-label': 'Verdicts' }, chips);
}

function rowOf(report, number) {
  const cell = (name, value) => element('td', { class: 'number', 'data-name': name }, value);
  const count = (name, value) => cell(name, wasCounted(report) ? String(value) : '–');
  return element('tr', { 'data-verdict': report.verdict },
    element('th', { scope: 'row' }, element('a', { href: `#report-${number}` }, report.scenario)),
    element('td', {}, report.pool.name), element('td', {}, startMethodOf(report)), element('td', { class: 'verdict' }, badge(report.verdict)),
    count('live', report.counts.live), count('zombie', report.counts.zombies), count('helper', report.counts.helpers),
    cell('time', report.verdict === 'skipped' ? '–' : duration(report.durations_ms.total)));
}

function tableOf(reports) {
  const titles = [['scenario'], ['pool'], ['start'], ['verdict'], ['live', 1], ['zombie', 1], ['helper', 1], ['time', 1]];
  return element('table', { class: 'overview' }, element('thead', {}, element('tr', {},
    titles.map(([title, number]) => element('th', { scope: 'col', class: number ? 'number' : null }, title)))),
  element('tbody', {}, reports.map((report, i) => rowOf(report, i + 1))));
}

function overviewOf(reports) {
  const table = tableOf(reports), counts = verdictCounts(reports);
  const show = (verdict) => table.querySelectorAll('tbody tr').forEach((row) => {
    row.hidden = verdict !== null && row.dataset.verdict !== verdict;
  });
  return [headOf(reports), chipsOf(counts, show), proportions(counts),
    element('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Overview' }, table)];
}
