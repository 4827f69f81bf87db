// The timeline: a bar for each process, with what happened to it, below the lines of what happened to all.

const mostBars = 200; // a pool that forks without end may leave thousands

function measures(width) {
  const narrow = width < 640;
  return { narrow, width, left: narrow ? 6 : 176, right: width - (narrow ? 10 : 124), row: narrow ? 46 : 32,
           barTop: narrow ? 22 : 8, bar: 16 };
}

// Where time is left out, a strip is torn out of everything.
function drawBreaks(scale, top, bottom) {
  const breaks = scale.breaks.map((gap) => shape('g', { class: 'break' },
    shape('title', {}, `${gap.text} without an event`),
    zigzags(gap, top, bottom),
    shape('text', { x: (gap.from + gap.to) / 2, y: bottom + 18, 'text-anchor': 'middle' }, `+${gap.text}`)));
  return shape('g', { class: 'breaks', 'aria-hidden': 'true' }, breaks);
}

function zigzags(gap, top, bottom) {
  const middle = (gap.from + gap.to) / 2;
  let path = `M${middle - 3} ${top}`;
  for (let y = top + 6, side = 1; y < bottom + 6; y += 6, side = -side) path += ` L${middle + 3 * side} ${y}`;
  return ['torn', 'edge'].map((name) => shape('path', { class: name, d: path }));
}

function drawAxis(scale, size, top, bottom) {
  const ticks = scale.ticks.map((tick) => shape('g', { class: 'tick' },
    shape('line', { x1: tick.x, x2: tick.x, y1: top, y2: bottom + 4 }),
    shape('text', { x: tick.x, y: bottom + 18, 'text-anchor': tick.x < 24 ? 'start' : 'middle' }, tick.text)));
  return shape('g', { class: 'axis', 'aria-hidden': 'true' }, ticks,
    shape('line', { class: 'base', x1: size.left, x2: size.right, y1: bottom, y2: bottom }));
}

// A zombie, and one that has exited and not been reaped, is hollow from its exit on.
function drawBar(process, x, size, y) {
  const open = process.ended === null;
  const from = process.from === null ? size.left : x(process.from), to = open ? size.right : x(process.ended);
  const rect = (name, left, right, inset = 0) => shape('rect', { class: name, x: left, y: y + inset,
    width: Math.max(2, right - left), height: size.bar - 2 * inset, rx: inset ? 2 : 3 });
  const style = styleOf(process);
  const hollow = process.exited !== null ? x(process.exited) : process.remains === 'zombie' ? from : null;
  const solidEnd = hollow ?? to;
  const parts = [];
  const faded = open && !process.remains && !process.isOwner ? 'faded' : '';
  if (solidEnd > from || hollow === null) parts.push(rect(`solid ${style} ${faded}`, from, solidEnd));
  if (hollow !== null && to - hollow > 1) parts.push(rect(`hollow ${style}`, hollow, to));
  if (process.remains && hollow === null) parts.push(rect(style === 'allowed' ? 'over dots' : 'over hatch', from, to));
  for (const task of process.tasks) parts.push(rect('task', x(task.from), task.to < size.end ? x(task.to) : to, 4));
  if (open && (process.remains || process.isOwner))
    parts.push(shape('path', { class: `arrow ${style}`, d: `M${to} ${y - 1} l8 9 l-8 9 z` }));
  return parts;
}

function arrowDown(x, y) {
  return shape('g', { class: 'signal' }, shape('path', { d: `M${x - 5} ${y} h10 l-5 9 z` }));
}

function cross(x, y) {
  return shape('g', { class: 'fault' }, shape('circle', { cx: x, cy: y, r: 8.5 }),
    shape('path', { d: `M${x - 4} ${y - 4} l8 8 m0 -8 l-8 8` }));
}

function drawMarks(process, x, y, size) {
  return process.events.map((event) => {
    const at = x(event.at_ms);
    const title = shape('title', {}, `${event.event} at ${duration(event.at_ms)} ${event.detail}`);
    if (event.event === 'signal-sent')
      return fill(arrowDown(at, y - 7), {}, [title]);
    if (event.event === 'fault')
      return fill(cross(at, y + size.bar / 2), {}, [title]);
    return null;
  });
}

function spoken(process) {
  const diagnosis = process.told?.diagnosis[0];
  return `process ${process.pid}, ${process.role || 'process'}, ${outcomeOf(process)}` +
    (diagnosis ? `: ${diagnosis.text}` : '');
}

function drawRow(process, scale, size, top) {
  const y = top + size.barTop;
  const place = size.narrow ? { x: size.left, y: top + 15 } : { x: size.left - 14, y: y + 12, 'text-anchor': 'end' };
  const label = shape('text', { class: 'label', ...place },
    shape('tspan', { class: 'role' }, clipped(process.role, size.narrow ? 24 : 15)),
    shape('tspan', { class: 'pid', dx: 6 }, String(process.pid)));
  const said = { class: `outcome ${styleOf(process)}` };
  const outcome = size.narrow ? null : shape('text', { ...said, x: size.right + 14, y: y + 12 }, outcomeOf(process));
  if (size.narrow) label.append(shape('tspan', { ...said, dx: 8 }, outcomeOf(process)));
  return shape('g', { class: 'row', role: 'button', tabindex: '0', 'data-pid': process.pid, 'aria-pressed': 'false',
                      'aria-label': spoken(process) },
    shape('rect', { class: 'hit', x: 0, y: top, width: size.width, height: size.row, rx: 4 }),
    label, outcome, drawBar(process, scale.x, size, y), drawMarks(process, scale.x, y, size));
}

function drawTimeline(report, processes, width) {
  const size = { ...measures(width), end: spanOf(report).end };
  const { start, end } = spanOf(report);
  const scale = timeScale(report.timeline.map((event) => event.at_ms), start, end, size.left + 10, size.right - 18);
  const lines = linesOf(report);
  const top = placeTexts(lines, scale.x, size) * lane + 4;
  const shown = processes.slice(0, mostBars);
  const bottom = top + shown.length * size.row + 6;
  const shutdowns = lines.filter((line) => line.kind === 'shutdown');
  return shape('svg', { class: 'timeline', viewBox: `0 0 ${width} ${bottom + 28}`, role: 'group',
                        'aria-label': `Timeline of ${titleOf(report)}: ${processes.length} processes` },
    shutdowns.map((line) => drawBand(line, scale.x, top, bottom, size)), drawAxis(scale, size, top, bottom),
    lines.map((line) => drawLine(line, bottom)),
    shown.map((process, i) => drawRow(process, scale, size, top + i * size.row)), drawBreaks(scale, top, bottom));
}
