// A report's section.

function part(title, ...content) {
  const shown = content.flat().filter(Boolean);
  return shown.length > 0 ? element('section', { class: 'part' }, element('h3', {}, title), shown) : null;
}

function evidenceOf(report) {
  if (report.evidence.length === 0) return null;
  return element('ul', { class: 'evidence' }, report.evidence.map((item) => element('li', { class: item.shown ? 'shown' : 'not-shown' },
    element('span', { class: 'tag' }, item.shown ? '✓ shown' : '✕ NOT SHOWN'),
    element('div', {}, element('strong', {}, item.condition), ' ', item.text,
      definitions(Object.entries(item.facts).map(([name, fact]) => [name, fact]), { class: 'inline-facts' })))));
}

function eventTable(report) {
  const head = ['time', 'event', 'pid', 'detail'].map((title) => element('th', { scope: 'col' }, title));
  return element('details', { class: 'more' }, element('summary', {}, counted(report.timeline.length, 'event')),
    element('div', { class: 'scroll' }, element('table', {}, element('thead', {}, element('tr', {}, head)),
      element('tbody', {}, report.timeline.map((event) => element('tr', {},
        element('td', { class: 'number' }, duration(event.at_ms)), element('td', {}, event.event),
        element('td', { class: 'number' }, event.pid === null ? '' : String(event.pid)),
        element('td', {}, event.detail)))))));
}

function legend() {
  const item = (key, text) => element('li', {}, keyOf(key), text);
  return element('ul', { class: 'legend', 'aria-label': 'Legend' }, item('owner', 'pool owner'), item('ended', 'process that ended'),
    item('task', 'in a task'), item('remains', 'remains'), item('hollow', 'exited, not reaped'), item('allowed', 'helper, or allowed'),
    item('fault', 'fault'), item('signal', 'signal sent'), item('band', 'shutdown called until it returned'));
}

function keyOf(key) {
  const box = (name) => shape('rect', { class: name, x: 1, y: 3, width: 24, height: 12, rx: 3 });
  const drawn = {
    owner: () => [box('solid owner')], ended: () => [box('solid ended')],
    task: () => [box('solid ended'), shape('rect', { class: 'task', x: 5, y: 6, width: 16, height: 6, rx: 2 })],
    remains: () => [box('solid remains'), box('over hatch')], hollow: () => [box('hollow remains')],
    allowed: () => [box('solid allowed'), box('over dots')], band: () => [box('band')],
    fault: () => [shape('g', { class: 'fault' }, shape('circle', { cx: 13, cy: 9, r: 8 }), shape('path', { d: 'M9 5 l8 8 m0 -8 l-8 8' }))],
    signal: () => [shape('g', { class: 'signal' }, shape('path', { d: 'M7 4 h12 l-6 10 z' }))],
  };
  return shape('svg', { class: 'key', viewBox: '0 0 26 18', width: 26, height: 18, 'aria-hidden': 'true' }, drawn[key]());
}

// Bars that can be chosen; the panel shows the chosen one. Drawn anew for every width.
function timelineOf(report) {
  if (report.timeline.length === 0 && report.remaining.length === 0) return null;
  const processes = processesOf(report);
  const holder = element('div', { class: 'drawing' });
  const panel = element('div', { class: 'panel', 'aria-live': 'polite' });
  const tip = element('div', { class: 'tip', hidden: '' });
  let chosen = mostTelling(processes);
  const mark = () => holder.querySelectorAll('.row').forEach((row) =>
    row.setAttribute('aria-pressed', String(Number(row.dataset.pid) === chosen?.pid)));
  const choose = (process) => {
    chosen = process;
    panel.replaceChildren(...panelOf(process));
    mark();
  };
  const draw = (width) => {
    holder.replaceChildren(drawTimeline(report, processes, width));
    listen(holder, processes, choose, tip);
    mark();
  };
  if (chosen) choose(chosen);
  draw(900);
  followWidth(holder, draw);
  const more = processes.length - mostBars;
  return [element('figure', {}, holder, tip, legend(),
    more > 0 ? element('p', { class: 'quiet' }, `${more} more processes have no bar here.`) : null), panel, eventTable(report)];
}

function mostTelling(processes) {
  const remaining = processes.filter((process) => styleOf(process) === 'remains');
  return remaining.find((process) => process.told.diagnosis.length > 0) ?? remaining[0] ?? processes[0];
}

function followWidth(holder, draw) {
  let drawn = 900;
  new ResizeObserver(([entry]) => {
    const width = Math.round(entry.contentRect.width);
    if (width < 100 || width === drawn) return; // closed, or as it is
    drawn = width;
    requestAnimationFrame(() => redraw(width)); // not while sizes are observed: they would change once more
  }).observe(holder);
  const redraw = (width) => {
    const focused = holder.contains(document.activeElement) ? document.activeElement.dataset.pid : null;
    draw(width);
    if (focused) holder.querySelector(`[data-pid="${focused}"]`)?.focus();
  };
}

function listen(holder, processes, choose, tip) {
  const rows = [...holder.querySelectorAll('.row')];
  rows.forEach((row, i) => {
    const process = processes[i];
    row.addEventListener('click', () => choose(process));
    row.addEventListener('focus', () => choose(process));
    row.addEventListener('keydown', (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step) rows[i + step]?.focus();
      if (event.key === 'Enter' || event.key === ' ') choose(process);
      if (step || event.key === ' ') event.preventDefault();
    });
    row.addEventListener('pointermove', (event) => {
      if (event.pointerType !== 'mouse') return;
      const box = holder.getBoundingClientRect();
      tip.textContent = tipOf(process);
      tip.hidden = false;
      tip.style.left = `${Math.max(0, Math.min(event.clientX - box.left + 14, box.width - tip.offsetWidth))}px`;
      tip.style.top = `${event.clientY - box.top + 18}px`;
    });
    row.addEventListener('pointerleave', () => { tip.hidden = true; });
  });
}

function tipOf(process) {
  const told = process.told;
  const lines = [`pid ${process.pid}  ${process.role}  ${outcomeOf(process)}`];
  if (told?.outside_pid) lines.push(`outside ${told.outside_pid}`);
  if (told?.command_line.length) lines.push(clipped(commandLineOf(told), 120));
  if (told?.sigterm) lines.push(`SIGTERM: ${told.sigterm}`);
  for (const wait of (told?.waits ?? []).slice(0, 3)) lines.push(`${callOf(wait)}${wait.object ? ` on ${wait.object}` : ''}`);
  for (const finding of told?.diagnosis ?? []) lines.push(finding.text);
  return lines.join('\n');
}

function suppressionsOf(report) {
  if (report.suppressions.length === 0) return null;
  return element('ul', { class: 'suppressions' }, report.suppressions.map((rule) => element('li', {},
    element('code', {}, rule.rule), ' ', rule.reason,
    element('span', { class: 'quiet' }, [` — ${rule.used > 0 ? `used for ${rule.used} ${rule.used === 1 ? 'process' : 'processes'}` : 'unused'}`,
      rule.expired ? ', expired' : rule.expires ? ', expires' : '', rule.expires ? ` ${rule.expires}` : ''].join('')))));
}

function yesNo(value, nothing) {
  return value === null ? nothing : value ? 'yes' : 'NO';
}

function replayOf(report) {
  const settled = report.settled_by === null ? 'not settled' : `by ${report.settled_by.replace('_', ' ')} after ${duration(report.durations_ms.settle)}`;
  return definitions([
    ['tier', element('span', {}, report.tier, report.tier_notes.length ? element('ul', { class: 'plain quiet' }, report.tier_notes.map((note) => element('li', {}, note))) : null)],
    ['settled', report.not_quiescent_because ? `${settled}; not quiescent: ${report.not_quiescent_because}` : settled],
    ['shutdown', report.durations_ms.shutdown === null ? 'not called, or never returned' : duration(report.durations_ms.shutdown)],
    ['whole replay', duration(report.durations_ms.total)],
    ['census complete', yesNo(report.census.complete, '')],
    ['cgroup agrees', yesNo(report.census.cgroup_agrees, 'no cgroup to compare with')],
    ['nothing left below', yesNo(report.census.nothing_left_below, 'not asked')],
    ['pool', `${report.pool.name} ${report.pool.version}, ${counted(report.pool.workers, 'worker')}`],
    ['started', report.started],
    ['machine', `${report.machine.kernel}, user ${report.machine.user}`],
    ['tool', `${report.tool.name} ${report.tool.version}`],
  ], { class: 'facts' });
}

function ownerOf(report) {
  if (!report.owner) return null;
  return [diagnosisOf(report.owner), detailsOf(report.owner)];
}

function conditionsOf(report) {
  return element('ul', { class: 'conditions', 'aria-label': 'Conditions' }, Object.entries(report.conditions).map(([name, value]) =>
    element('li', {}, element('span', {}, name), ' ', element('b', {}, value))));
}

function bodyOf(report) {
  return [
    element('p', { class: 'reason' }, report.reason),
    conditionsOf(report),
    part('Evidence', evidenceOf(report)),
    part('Timeline', timelineOf(report)),
    part('What remains', report.remaining.length > 0 ? treeOf(report.remaining) : null),
    part('The pool’s owner', ownerOf(report)),
    part('Suppressions', suppressionsOf(report)),
    part('The replay', replayOf(report)),
    report.subject_stderr ? part('The subject’s standard error ends with', element('pre', { tabindex: '0' }, report.subject_stderr)) : null,
    element('p', { class: 'back' }, element('a', { href: '#page' }, '↑ Overview')),
  ].filter(Boolean);
}

function sectionOf(report, number) {
  const section = element('details', { class: `report is-${report.verdict}`, id: `report-${number}` },
    element('summary', {}, badge(report.verdict), element('h2', {}, titleOf(report)), element('span', { class: 'quiet' }, `#${number}`)));
  section.build = () => {
    if (!section.built) section.append(element('div', { class: 'body' }, bodyOf(report)));
    section.built = true;
  };
  section.addEventListener('toggle', () => section.open && section.build());
  return section;
}
