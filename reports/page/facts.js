// What is known of a process: for the panel below the timeline, the tree of what remains, and the owner.

function diagnosisOf(process) {
  const findings = process.diagnosis.map(({ cause, text, cure }) => [
    element('code', { class: 'cause' }, cause), ' ', text,
    cure ? element('div', { class: 'cure' }, 'Cure: ', cure) : null]);
  return list(findings, { class: 'diagnosis' });
}

function callOf(wait) {
  if (wait.syscall === '') return 'not readable';
  if (wait.syscall === 'running') return 'runs';
  if (wait.syscall === 'none') return 'blocked, in no system call';
  return `${wait.syscall}(${wait.arguments.join(', ')})`;
}

function waitOf(wait) {
  return [
    element('span', { class: 'thread' }, `thread ${wait.thread} ${wait.state} `),
    element('code', {}, callOf(wait)),
    wait.object ? element('span', {}, ' on ', element('code', {}, wait.object)) : null,
    list(wait.stack.map((call) => element('code', {}, call)), { class: 'stack' }, 'ol'),
  ];
}

function pipeOf(pipe) {
  const ends = pipe.reads && pipe.writes ? 'reads and writes' : pipe.reads ? 'reads' : 'writes';
  return [`fd ${pipe.fd} ${ends} `, element('code', {}, pipe.pipe)];
}

const pathOf = (name, gone) => [element('code', {}, name), gone ? ' (deleted)' : ''];

// What it is and costs; of an earlier report nothing.
function attributesOf(attributes) {
  if (!attributes) return [];
  const memory = attributes.pss_kib ?? attributes.rss_kib;
  return [
    ['executable', attributes.executable ? pathOf(attributes.executable, attributes.executable_deleted) : null],
    ['directory', attributes.directory ? pathOf(attributes.directory, attributes.directory_deleted) : null],
    ['user', attributes.user],
    ['age', duration(attributes.age_ms)],
    ['CPU', duration(attributes.cpu_ms)],
    ['memory', memory === null ? null : `${(memory / 1024).toFixed(1)} MiB`],
    ['listens on', attributes.listens.join(', ')],
    ['holds locks', attributes.locks.join(', ')],
    ["holds the command's", attributes.outputs.join(' and ')],
    ['PID namespace', attributes.is_namespace_init ? 'its first process' : null],
  ];
}

// The parent at its fork first, the command last.
function creatorsOf(creators) {
  return list(creators.map((creator) => [
    element('code', {}, creator.command_line.join(' ') || `pid ${creator.pid}`),
    creator.ended_ms === null ? '' : ` (ended at ${duration(creator.ended_ms)})`,
  ]), { class: 'plain' }, 'ol');
}

function detailsOf(process) {
  const outside = process.outside_pid !== null && process.outside_pid !== process.pid;
  const pending = process.signals?.pending.replace(/^0+$/, '');
  return definitions([
    ['pid', outside ? `${process.pid}, host pid ${process.outside_pid}` : String(process.pid)],
    ['parent', String(process.parent)],
    ['kind', process.kind === process.state ? process.kind : `${process.kind}, ${process.state}`],
    ['role', process.role],
    ['name', element('code', {}, process.comm)],
    ['command line', process.command_line.length > 0 ? element('code', {}, commandLineOf(process)) : null],
    ...attributesOf(process.attributes),
    ['created by', creatorsOf(process.created_by)],
    ['forked at', list(process.forked_at.map((line) => element('code', {}, line)), { class: 'plain' }, 'ol')],
    ['SIGTERM', process.sigterm],
    ['pending signals', pending ? element('code', {}, pending) : null],
    ['waits', list(process.waits.map(waitOf), { class: 'plain' })],
    ['waits for', [...new Set(process.diagnosis.flatMap((finding) => finding.waits_for))].map((pid) => `pid ${pid}`)
      .join(', ')],
    ['pipes', list(process.pipes.map(pipeOf), { class: 'plain' })],
    ['ended by', process.ended_by],
    ['allowed because', process.suppressed_by === null ? null : process.suppressed_by],
  ], { class: 'facts' });
}

function eventsOf(process) {
  return element('ol', { class: 'events' }, process.events.map((event) => element('li', {},
    element('span', { class: 'at' }, duration(event.at_ms)), element('span', {}, event.event),
    event.detail ? element('span', { class: 'detail' }, event.detail) : null)));
}

// Of a process with a bar: `process` as processesOf() makes it.
function panelOf(process) {
  const told = process.told;
  return [
    element('h4', {}, `pid ${process.pid}`, element('span', { class: 'role' }, process.role),
      element('span', { class: `outcome ${styleOf(process)}` }, outcomeOf(process))),
    told ? diagnosisOf(told) : null,
    element('div', { class: 'halves' },
      told ? detailsOf(told) : element('p', { class: 'quiet' }, 'Nothing was read of it.'),
      process.events.length > 0 ? eventsOf(process) : null),
  ].filter(Boolean);
}

function nodeOf(process, childrenOf, seen) {
  seen.add(process.pid);
  const children = (childrenOf.get(process.pid) ?? []).filter((child) => !seen.has(child.pid));
  const below = children.map((child) => nodeOf(child, childrenOf, seen));
  return element('li', { 'data-remains': process.pid },
    element('details', {},
      element('summary', {},
        element('span', { class: 'pid' }, `pid ${process.pid}`),
        element('span', { class: `outcome ${styleOfRemains(process)}` }, kindOf(process)),
        element('span', { class: 'name' }, nameOf(process)),
        process.sigterm ? element('span', { class: 'quiet' }, `SIGTERM: ${process.sigterm}`) : null),
      detailsOf(process)),
    diagnosisOf(process),
    children.length > 0 ? element('ul', { class: 'below' }, below) : null);
}

// Children below their parents, as far as those remain as well.
function treeOf(remaining) {
  const pids = new Set(remaining.map((process) => process.pid));
  const childrenOf = new Map();
  for (const process of remaining) childrenOf.set(process.parent, [...(childrenOf.get(process.parent) ?? []), process]);
  const seen = new Set();
  const roots = remaining.filter((process) => !pids.has(process.parent) || process.parent === process.pid);
  const nodes = roots.map((process) => nodeOf(process, childrenOf, seen));
  // A process that is left is its own ancestor: pids were used again while they were read.
  for (const process of remaining) if (!seen.has(process.pid)) nodes.push(nodeOf(process, childrenOf, seen));
  return element('ul', { class: 'tree' }, nodes);
}
