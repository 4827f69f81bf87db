// How the report's words, numbers and names are shown. No meaning rests on colour alone: each has a mark.

const verdicts = [
  { name: 'leaked', mark: '✕', meaning: 'processes remain' },
  { name: 'hung', mark: '∞', meaning: 'shutdown never returned' },
  { name: 'broken', mark: '!', meaning: 'the harness or the subject failed' },
  { name: 'invalid', mark: '?', meaning: 'the fault was not shown to have happened' },
  { name: 'skipped', mark: '–', meaning: 'this machine or pool lacks what it needs' },
  { name: 'clean', mark: '✓', meaning: 'no process remains' },
];

function verdictNamed(name) {
  return verdicts.find((verdict) => verdict.name === name);
}

function failed(report) {
  return report.verdict !== 'clean' && report.verdict !== 'skipped';
}

function markOf(verdict) {
  return element('span', { class: 'mark', 'aria-hidden': 'true' }, verdict.mark);
}

function badge(name) {
  const verdict = verdictNamed(name);
  return element('span', { class: `badge is-${name}`, title: verdict.meaning },
    markOf(verdict), name);
}

function duration(ms) {
  if (ms === null || ms === undefined) return '–';
  if (ms >= 10000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
  return ms >= 100 ? `${ms.toFixed(0)} ms` : `${ms.toFixed(ms >= 10 ? 1 : 2)} ms`;
}

function counted(count, word) {
  return `${count} ${word}${count === 1 || word === 'live' ? '' : 's'}`;
}

// False where a 0 would read as a count that was taken.
function wasCounted(report) {
  const { live, zombies, helpers } = report.counts;
  return report.verdict !== 'skipped' && (report.census.complete || live + zombies + helpers > 0);
}

// On a server: what its workers do.
function startMethodOf(report) {
  const workers = { ended: 'idle workers', finish: 'a busy worker', 'never-end': 'a stuck worker' };
  return report.conditions['start-method'] ?? workers[report.conditions.tasks] ?? '';
}

// Short enough for a line: a pool can be a whole command.
function titleOf(report) {
  const method = startMethodOf(report);
  return clipped(`${report.scenario} on ${report.pool.name}`, 120) + (method ? ` with ${clipped(method, 40)}` : '');
}

function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}

// `3`, or `1–3`.
function rangeOf(numbers) {
  const least = Math.min(...numbers), most = Math.max(...numbers);
  return least === most ? String(least) : `${least}–${most}`;
}

// As one would type it into a shell.
function commandLineOf(process) {
  const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
  return process.command_line.map(quoted).join(' ');
}

function nameOf(process) {
  return process.role || process.comm || '';
}
