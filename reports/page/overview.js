// The head: how often each verdict came, and the table that leads to the reports. A verdict's count shows its rows
// only, when pressed.

function headOf(reports) {
  const first = reports[0];
  const started = reports.map((report) => report.started).sort()[0]?.replace('T', ' ').replace('Z', ' UTC');
  const facts = [counted(reports.length, 'replay'), started, first?.machine.kernel, `pidleak ${first?.tool.version}`];
  return element('header', {},
    element('h1', {}, 'pidleak', element('span', {}, ' report')),
    element('p', { class: 'quiet' }, first ? facts.join(' · ') : 'There is no report in it.'));
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

function chipOf(verdict, count) {
  const attributes = { type: 'button', class: `chip is-${verdict.name}`, 'aria-pressed': 'false',
                       'data-verdict': verdict.name, title: `${verdict.meaning}: show only these` };
  return element('button', attributes, element('span', { class: 'count' }, String(count)),
    element('span', { class: 'word' }, markOf(verdict), verdict.name));
}

function chipsOf(counts, show) {
  const chips = counts.map(([verdict, count]) => chipOf(verdict, count));
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
    element('th', { scope: 'row' }, element('a', { href: `#report-${number}` }, clipped(report.scenario, 60))),
    element('td', { title: report.pool.name }, clipped(report.pool.name, 60)),
    element('td', {}, clipped(startMethodOf(report), 40)),
    element('td', { class: 'verdict' }, badge(report.verdict)),
    count('live', report.counts.live), count('zombie', report.counts.zombies), count('helper', report.counts.helpers),
    cell('time', report.verdict === 'skipped' ? '–' : duration(report.durations_ms.total)));
}

function tableOf(reports) {
  const head = ['scenario', 'pool', 'start', 'verdict', 'live', 'zombie', 'helper', 'time'].map((title, i) =>
    element('th', { scope: 'col', class: i >= 4 ? 'number' : null }, title));
  return element('table', { class: 'overview' }, element('thead', {}, element('tr', {}, head)),
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
