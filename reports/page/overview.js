// The head: how often each verdict came, and the table that leads to the reports: a row for each cell. Verdict, scenario
// and pool can be chosen; then the rows of these alone are shown.

// `empty`: what is said where there is no cell.
function headOf(cells, empty = 'There is no report in it.') {
  const reports = cells.flatMap((cell) => cell.endings.map((ending) => ending.report)), first = reports[0];
  const started = reports.map((report) => report.started).sort()[0]?.replace('T', ' ').replace('Z', ' UTC');
  const replays = sum(cells.map((cell) => cell.replays.length));
  const facts = [counted(replays, 'replay'), started, first?.machine.kernel, `pidleak ${first?.tool.version}`];
  return element('header', {},
    element('h1', {}, 'pidleak', element('span', {}, ' report')),
    element('p', { class: 'quiet' }, first ? facts.join(' · ') : empty));
}

function verdictCounts(cells) {
  const endings = cells.flatMap((cell) => cell.endings);
  const countOf = (verdict) =>
    sum(endings.filter((ending) => ending.report.verdict === verdict.name).map((ending) => ending.count));
  return verdicts.map((verdict) => [verdict, countOf(verdict)]).filter(([, count]) => count > 0);
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

function chipsOf(counts, choose) {
  const chips = counts.map(([verdict, count]) => chipOf(verdict, count));
  for (const chip of chips)
    chip.addEventListener('click', () => {
      const pressed = chip.getAttribute('aria-pressed') !== 'true';
      for (const other of chips) other.setAttribute('aria-pressed', String(pressed && other === chip));
      choose(pressed ? chip.dataset.verdict : null);
    });
  return element('div', { class: 'chips', role: 'group', 'aria-label': 'Verdicts' }, chips);
}

// Nothing where there is no choice.
function selectOf(name, words, choose) {
  const different = [...new Set(words)];
  if (different.length < 2) return null;
  const select = element('select', { 'aria-label': name }, element('option', { value: '' }, `every ${name}`),
    different.map((word, i) => element('option', { value: String(i + 1) }, clipped(word, 60))));
  select.addEventListener('change', () => choose(select.value === '' ? null : different[Number(select.value) - 1]));
  return select;
}

// How long the replays took: twelve bars from the shortest to the longest.
function distributionOf(times) {
  const bars = 12, height = 14, width = 4, least = Math.min(...times), span = Math.max(...times) - least;
  if (times.length < 2 || span === 0) return null;
  const counts = Array(bars).fill(0);
  for (const time of times) counts[Math.min(bars - 1, Math.floor(((time - least) / span) * bars))] += 1;
  const most = Math.max(...counts);
  return shape('svg', { class: 'distribution', width: bars * width, height, 'aria-hidden': 'true' },
    counts.map((count, i) => shape('rect', { x: i * width, width: width - 1, y: height - (count / most) * height,
                                             height: (count / most) * height })));
}

function timeOf(cell) {
  const ran = ([ending]) => cell.endings[ending].report.verdict !== 'skipped';
  const times = cell.replays.filter(ran).map(([, time]) => time).sort((a, b) => a - b);
  if (times.length === 0) return '–';
  const median = duration(times[Math.floor(times.length / 2)]);
  if (times.length === 1) return median;
  const title = `${duration(times[0])} to ${duration(times.at(-1))}`;
  return element('span', { title: `median ${median}, ${title}` }, median, ' ', distributionOf(times));
}

function outcomesOf(cell, numbers) {
  const outcomeOf = (ending, i) => element('a', { href: `#report-${numbers[i]}` }, badge(ending.report.verdict),
    cell.replays.length > 1 ? ` ${ending.count} of ${cell.replays.length}` : '');
  return cell.endings.length === 1 && cell.replays.length === 1 ? badge(cell.endings[0].report.verdict)
    : cell.endings.map((ending, i) => element('div', {}, outcomeOf(ending, i)));
}

// `numbers`: those of the sections of its endings.
function rowOf(cell, numbers) {
  const { report } = cell.endings[0];
  const field = (name, value) => element('td', { class: 'number', 'data-name': name }, value);
  const seen = cell.endings.map((ending) => ending.report).filter(wasCounted);
  const count = (name, member) =>
    field(name, seen.length > 0 ? rangeOf(seen.map((each) => each.counts[member])) : '–');
  const row = element('tr', {},
    element('th', { scope: 'row' }, element('a', { href: `#report-${numbers[0]}` }, clipped(report.scenario, 60))),
    element('td', { title: report.pool.name }, clipped(report.pool.name, 60)),
    element('td', {}, clipped(startMethodOf(report), 40)),
    element('td', { class: 'verdict' }, outcomesOf(cell, numbers)),
    count('live', 'live'), count('zombie', 'zombies'), count('helper', 'helpers'), field('time', timeOf(cell)));
  row.isOf = (chosen) => (chosen.scenario ?? report.scenario) === report.scenario &&
    (chosen.pool ?? report.pool.name) === report.pool.name &&
    (chosen.verdict === null || cell.endings.some((ending) => ending.report.verdict === chosen.verdict));
  return row;
}

function tableOf(rows) {
  const head = ['scenario', 'pool', 'start', 'verdict', 'live', 'zombie', 'helper', 'time'].map((title, i) =>
    element('th', { scope: 'col', class: i >= 4 ? 'number' : null }, title));
  return element('table', { class: 'overview' }, element('thead', {}, element('tr', {}, head)),
    element('tbody', {}, rows));
}

// `numbers`: for each cell those of the sections of its endings.
function overviewOf(cells, numbers) {
  const rows = cells.map((cell, i) => rowOf(cell, numbers[i])), counts = verdictCounts(cells);
  const chosen = { verdict: null, scenario: null, pool: null };
  const choose = (what) => (word) => {
    chosen[what] = word;
    for (const row of rows) row.hidden = !row.isOf(chosen);
  };
  const named = (nameOfReport) => cells.map((cell) => nameOfReport(cell.endings[0].report));
  return [headOf(cells), chipsOf(counts, choose('verdict')), proportions(counts),
    element('div', { class: 'choices' }, selectOf('scenario', named((report) => report.scenario), choose('scenario')),
      selectOf('pool', named((report) => report.pool.name), choose('pool'))),
    element('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Overview' }, tableOf(rows))];
}
