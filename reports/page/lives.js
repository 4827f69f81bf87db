// Every process of a guarded command along time. What a program has started of one name is one row, however many they
// are: so five hundred compilers are four rows. A row's name lists its processes; its mark folds what they have started.

const mostListed = 100;
const mostBarsOfARow = 400;

function programOf(life) {
  return life.command_line.length > 0 ? life.command_line[0].split('/').pop() : `pid ${life.pid}`;
}

// What the census says of one that had not ended.
function toldOf(report) {
  const told = new Map();
  for (const process of [...report.at_timeout, ...report.remaining]) told.set(process.pid, process);
  return (life) => (life.ended_ms === null ? told.get(life.pid) : undefined);
}

// The rows below those lives: by name, the earliest first.
function rowsBelow(parents, childrenOf) {
  const groups = new Map();
  for (const parent of parents)
    for (const life of childrenOf.get(parent) ?? []) {
      const name = programOf(life);
      groups.set(name, [...(groups.get(name) ?? []), life]);
    }
  return [...groups].map(([name, lives]) => ({ name, lives }))
    .sort((a, b) => a.lives[0].started_ms - b.lives[0].started_ms);
}

// Of very many those that touch are drawn as one.
function spansOf(lives, end, remains) {
  const spans = lives.map((life) => ({ from: life.started_ms, to: Math.max(life.started_ms, life.ended_ms ?? end),
                                       remains: remains(life) })).sort((a, b) => a.from - b.from);
  if (spans.length <= mostBarsOfARow) return spans;
  const merged = [];
  for (const span of spans) {
    const last = merged.at(-1);
    if (last && last.remains === span.remains && span.from - last.to < end / 1000) last.to = Math.max(last.to, span.to);
    else merged.push({ ...span });
  }
  return merged.slice(0, 4 * mostBarsOfARow);
}

// The page's policy forbids style attributes in text.
function styled(node, properties) {
  for (const [name, value] of Object.entries(properties)) node.style.setProperty(name, value);
  return node;
}

function barOfSpan(span, end) {
  const percent = (ms) => `${((100 * ms) / end).toFixed(3)}%`;
  return styled(element('span', { class: span.remains ? 'life remains' : 'life' }),
    { left: percent(span.from), width: percent(span.to - span.from) });
}

function listedLife(life, told) {
  const until = life.ended_ms === null ? 'and ran still' : `for ${duration(life.ended_ms - life.started_ms)}`;
  return [element('span', { class: 'quiet' }, `pid ${life.pid}, at ${duration(life.started_ms)}, ${until} `),
    element('code', {}, clipped(commandLineOf(life), 400)), told ? diagnosisOf(told) : null];
}

// A row and what is below it.
function lifeRow({ name, lives }, page, depth) {
  const remaining = lives.filter((life) => page.told(life) !== undefined);
  const below = rowsBelow(lives, page.childrenOf);
  const rows = element('div', { class: 'below-lives', hidden: depth > 30 ? '' : null });
  const text = `${name}${lives.length > 1 ? ` × ${lives.length}` : ''}`;
  const fold = below.length > 0 ? element('button', { class: 'fold', 'aria-expanded': 'true', 'aria-label': `below ${text}` })
    : element('span', { class: 'fold' });
  if (below.length > 0) fold.addEventListener('click', () => {
    rows.hidden = !rows.hidden;
    fold.setAttribute('aria-expanded', String(!rows.hidden));
  });
  const title = element('button', { class: 'life-name', title: clipped(commandLineOf(lives[0]), 300) }, text);
  title.addEventListener('click', () => {
    const more = lives.length - mostListed;
    const first = [...remaining, ...lives.filter((life) => !remaining.includes(life))].slice(0, mostListed);
    page.panel.replaceChildren(element('h4', {}, text),
      list(first.map((life) => listedLife(life, page.told(life))), { class: 'plain' }),
      more > 0 ? element('p', { class: 'quiet' }, `and ${more} more`) : '');
  });
  const note = remaining.length > 0 ? element('span', { class: 'outcome remains' },
    lives.length > 1 ? `${remaining.length} remain` : 'remains') : element('span');
  rows.append(...below.map((row) => lifeRow(row, page, depth + 1)));
  const bars = spansOf(lives, page.end, (life) => page.told(life) !== undefined);
  const row = element('div', { class: 'life-row' }, element('div', { class: 'life-label' }, fold, title),
    element('div', { class: 'life-track' }, bars.map((span) => barOfSpan(span, page.end))), note);
  return element('div', {}, styled(row, { '--depth': Math.min(depth, 12) }), rows);
}

function livesOf(report) {
  if (!report.lives || report.lives.processes.length === 0) return null;
  const { processes, left_out: leftOut } = report.lives;
  const childrenOf = new Map();
  const roots = [];
  for (const life of processes) {
    const parent = life.parent_place === null ? undefined : processes[life.parent_place];
    if (parent) childrenOf.set(parent, [...(childrenOf.get(parent) ?? []), life]);
    else roots.push(life);
  }
  const times = processes.map((life) => life.ended_ms ?? life.started_ms);
  const end = Math.max(1, times.reduce((most, at) => Math.max(most, at), 0), report.durations_ms.total ?? 0);
  const page = { childrenOf, end, told: toldOf(report), panel: element('div', { class: 'panel', 'aria-live': 'polite' },
    element('p', { class: 'quiet' }, 'A name shows its processes, with their command lines.')) };
  const rows = rowsBelow([null], new Map([[null, roots]])).map((row) => lifeRow(row, page, 0));
  const note = leftOut > 0 ? element('p', { class: 'quiet' }, `${leftOut} others, the first to end, are left out.`) : null;
  return [element('div', { class: 'lives' }, rows,
    element('div', { class: 'life-row life-axis', 'aria-hidden': 'true' }, element('span'),
      element('div', { class: 'life-track' }, element('span', {}, '0'), element('span', {}, duration(end / 2)),
        element('span', {}, duration(end))), element('span'))), note, page.panel];
}
