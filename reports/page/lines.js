// What happened to all processes: lines from the top of the timeline to its bottom, each with a text, and a band from
// the call of shutdown until it returned.

const mostOfAKind = 3;
const lane = 20;

// In 12 px, and rather too much: a section that is closed has no layout to measure.
const letterWidth = (line) => (isAlarming(line) ? 8 : 6.9);

const ownLine = new Set(['fault', 'pool-broken', 'breakage-handled', 'management-thread-ended', 'tasks-released',
  'tasks-not-released', 'survived-allocation', 'mistake']);

// Set in bold. The management thread ends in any case; with a detail, by an exception.
function isAlarming({ kind, detail }) {
  return kind === 'fault' || kind === 'mistake' || (kind === 'management-thread-ended' && detail !== '');
}

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
  return withoutRepeats(lines.sort((a, b) => a.at - b.at));
}

// What happens again and again would fill the page: the first of its kind stands for all.
function withoutRepeats(lines) {
  const counts = {};
  for (const { kind } of lines) counts[kind] = (counts[kind] ?? 0) + 1;
  const often = (line) => counts[line.kind] > mostOfAKind;
  const first = (line) => lines.find((other) => other.kind === line.kind) === line;
  const told = (line) => (often(line) ? { ...line, text: `${counts[line.kind]} times ${line.kind}` } : line);
  return lines.filter((line) => !often(line) || first(line)).map(told);
}

// Each text stands right of its line. One that has room starts in the first lane again, where neither a text of that
// lane nor one of those below, which its line crosses, reaches as far as it.
function placeTexts(lines, x, size) {
  const reach = [];
  for (const line of lines) {
    line.x = x(line.at);
    const letter = letterWidth(line);
    const most = Math.floor((size.width - 12) / letter);
    const text = line.detail ? `${line.text}: ${line.detail}` : line.text;
    line.shown = clipped(text, Math.min(most, size.narrow ? 36 : 72));
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

function drawLine(line, bottom) {
  const y = line.lane * lane;
  const text = shape('text', { x: line.textX, y: y + 14, 'text-anchor': line.flipped ? 'end' : 'start' }, line.shown);
  return shape('g', { class: `line line-${line.kind}${isAlarming(line) ? ' alarming' : ''}` },
    shape('title', {}, `${line.text} at ${duration(line.at)}${line.detail ? `: ${line.detail}` : ''}`),
    shape('line', { x1: line.x, x2: line.x, y1: y + 3, y2: bottom }), text);
}

function drawBand(line, x, top, bottom, size) {
  const end = line.until === null ? size.right : x(line.until);
  return shape('rect', { class: line.until === null ? 'band band-open' : 'band', x: line.x, y: top,
                         width: Math.max(2, end - line.x), height: bottom - top });
}
