// The timeline: a bar for each process, what happened to it, and what happened to all.

const mostBars = 200; // a pool that forks without end may leave thousands
const lane = 20;

// In 12 px, and rather too much: a section that is closed has no layout to measure.
const letterWidth = (kind) => (bold.has(kind) ? 7.7 : 6.9);
const bold = new Set(['fault', 'management-thread-ended', 'mistake']);


const ownLine = new Set(['fault', 'pool-broken', 'breakage-handled', 'management-thread-ended', 'tasks-released',
  'tasks-not-released', 'survived-allocation', 'mistake']);

function measures(width) {
  const narrow = width < 640;
  return { narrow, width, left: narrow ? 6 : 176, right: width - (narrow ? 10 : 124), row: narrow ? 46 : 32,
           barTop: narrow ? 22 : 8, bar: 16 };
}

// What concerns all: lines from top to bottom, each with a text. Shutdown is one of them, and a band.
function linesOf(report) {
  const lines = report.timeline.filter((event) => ownLine.has(event.event)).map((event) => ({
    at: event.at_ms, kind: event.event, text: event.event,
    detail: [event.pid === null ? '' : `pid ${event.pid}`, event.detail].filter(Boolean).join(', ') }));
  const called = firstTime(report, 'shutdown-called');
  if (called !== null) {
    const returned = firstTime(report, 'shutdown-returned', called);
    lines.push({ at: called, kind: 'shutdown', until: returned, text: 'shutdown',
                 detail: returned === null ? 'never returned' : duration(returned - called) });
  }
  return lines.sort((a, b) => a.at - b.at);
}

// Each text stands right of its line. One that has room starts in the first lane again, where neither a text of that
// lane nor one of those below, which its line crosses, reaches as far as it.
function placeTexts(lines, x, size) {
  const reach = [];
  for (const line of lines) {
    line.x = x(line.at);
    const letter = letterWidth(line.kind);
    const most = Math.floor((size.width - 12) / letter);
    line.shown = clipped(line.detail ? `${line.text}: ${line.detail}` : line.text, Math.min(most, size.narrow ? 36 : 56));
    const width = line.shown.length * letter + 14;
    line.flipped = line.x + width > size.width;
    const start = line.flipped ? Math.max(0, line.x - width) : line.x;
    line.lane = reach.reduce((lowest, end, i) => (end > start ? i + 1 : lowest), 0);
    reach.length = line.lane;
    reach.push(line.flipped ? size.width : line.x + width);
    line.textX = line.flipped ? Math.max(line.x - 6, line.shown.length * letter) : line.x + 6;
  }
  return lines.reduce((most, line) => Math.max(most, line.lane + 1), 1);
}

function drawLine(line, top, bottom) {
  const y = line.lane * lane;
  const text = shape('text', { x: line.textX, y: y + 14, 'text-anchor': line.flipped ? 'end' : 'start' }, line.shown);
  return shape('g', { class: `line line-${line.kind}` },
    shape('title', {}, `${line.text} at ${duration(line.at)}${line.detail ? `: ${line.detail}` : ''}`),
    shape('line', { x1: line.x, x2: line.x, y1: y + 3, y2: bottom }), text);
}

function drawBand(line, x, top, bottom, size) {
  const end = line.until === null ? size.right : x(line.until);
  return shape('rect', { class: line.until === null ? 'band band-open' : 'band', x: line.x, y: top,
                         width: Math.max(2, end - line.x), height: bottom - top });
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

function styleOf(process) {
  if (process.remains) return process.remains === 'helper' || process.told.suppressed_by !== null ? 'allowed' : 'remains';
  return process.isOwner ? 'owner' : 'ended';
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
  if (solidEnd > from || hollow === null) parts.push(rect(`solid ${style}${open && !process.remains && !process.isOwner ? ' faded' : ''}`, from, solidEnd));
  if (hollow !== null && to - hollow > 1) parts.push(rect(`hollow ${style}`, hollow, to));
  if (process.remains && hollow === null) parts.push(rect(style === 'allowed' ? 'over dots' : 'over hatch', from, to));
  for (const task of process.tasks) parts.push(rect('task', x(task.from), task.to < size.end ? x(task.to) : to, 4));
  if (open && (process.remains || process.isOwner))
    parts.push(shape('path', { class: `arrow ${style}`, d: `M${to} ${y - 1} l8 ${size.bar / 2 + 1} l-8 ${size.bar / 2 + 1} z` }));
  return parts;
}

function drawMarks(process, x, y, size) {
  return process.events.map((event) => {
    const at = x(event.at_ms), middle = y + size.bar / 2;
    const title = shape('title', {}, `${event.event} at ${duration(event.at_ms)} ${event.detail}`);
    if (event.event === 'signal-sent')
      return shape('g', { class: 'signal' }, title, shape('path', { d: `M${at - 5} ${y - 7} h10 l-5 9 z` }));
    if (event.event === 'fault')
      return shape('g', { class: 'fault' }, title, shape('circle', { cx: at, cy: middle, r: 9 }),
        shape('path', { d: `M${at - 4} ${middle - 4} l8 8 m0 -8 l-8 8` }));
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
  const label = shape('text', { class: 'label', x: size.narrow ? size.left : size.left - 14, y: size.narrow ? top + 15 : y + 12,
                                'text-anchor': size.narrow ? 'start' : 'end' },
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
  const bands = lines.filter((line) => line.kind === 'shutdown').map((line) => drawBand(line, scale.x, top, bottom, size));
  return shape('svg', { class: 'timeline', viewBox: `0 0 ${width} ${bottom + 28}`, role: 'group',
                        'aria-label': `Timeline of ${titleOf(report)}: ${processes.length} processes` },
    bands, drawAxis(scale, size, top, bottom), lines.map((line) => drawLine(line, top, bottom)),
    shown.map((process, i) => drawRow(process, scale, size, top + i * size.row)), drawBreaks(scale, top, bottom));
}
