// The timeline with what belongs to it: legend, the panel of the chosen process, and all events as a table.

function eventTable(report) {
  const head = ['time', 'event', 'pid', 'detail'].map((title) => element('th', { scope: 'col' }, title));
  const rows = report.timeline.map((event) => element('tr', {},
    element('td', { class: 'number' }, duration(event.at_ms)), element('td', {}, event.event),
    element('td', { class: 'number' }, String(event.pid ?? '')), element('td', {}, event.detail)));
  return element('details', { class: 'more' }, element('summary', {}, counted(report.timeline.length, 'event')),
    element('table', {}, element('thead', {}, element('tr', {}, head)), element('tbody', {}, rows)));
}

function legend() {
  const items = Object.entries({
    owner: 'pool owner', ended: 'process that ended', gone: 'exited, time unknown', task: 'in a task',
    remains: 'remains', hollow: 'exited, not reaped', allowed: 'helper, or allowed', fault: 'fault',
    signal: 'signal sent', band: 'shutdown called until it returned',
  }).map(([key, text]) => [keyOf(key), text]);
  return list(items, { class: 'legend', 'aria-label': 'Legend' });
}

function keyOf(key) {
  const box = (name) => shape('rect', { class: name, x: 1, y: 3, width: 24, height: 12, rx: 3 });
  const drawn = {
    owner: () => [box('solid owner')], ended: () => [box('solid ended')], gone: () => [box('solid faded')],
    task: () => [box('solid ended'), shape('rect', { class: 'task', x: 5, y: 6, width: 16, height: 6, rx: 2 })],
    remains: () => [box('solid remains'), box('over hatch')], hollow: () => [box('hollow remains')],
    allowed: () => [box('solid allowed'), box('over dots')], band: () => [box('band')],
    fault: () => [cross(13, 9)],
    signal: () => [arrowDown(13, 4)],
  };
  const attributes = { class: 'key', viewBox: '0 0 26 18', width: 26, height: 18, 'aria-hidden': 'true' };
  return shape('svg', attributes, drawn[key]());
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
  const note = more > 0 ? element('p', { class: 'quiet' }, `${more} more processes have no bar here.`) : null;
  return [element('figure', {}, holder, tip, legend(), note), panel, eventTable(report)];
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
  if (told?.outside_pid) lines.push(`host pid ${told.outside_pid}`);
  if (told?.command_line.length) lines.push(clipped(commandLineOf(told), 120));
  if (told?.sigterm) lines.push(`SIGTERM: ${told.sigterm}`);
  for (const wait of (told?.waits ?? []).slice(0, 3))
    lines.push(`${callOf(wait)}${wait.object ? ` on ${wait.object}` : ''}`);
  for (const finding of told?.diagnosis ?? []) lines.push(finding.text);
  return lines.join('\n');
}

