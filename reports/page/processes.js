// The processes of a report, each with what the timeline and the census tell of it: whatever has a bar.
//
//   from ──────────────── exited ── ended        ended: reaped, or known to be over
//   from ───────────────────────────────▶        remains: what the census found
//   from ─────────────────── · · · · · ·         neither: it exited at an unknown time
// Of one that only the census saw, `from` is null: it had started before.

const ownersEvents = new Set(['subject-started', 'hello']);

function newProcess(pid) {
  return { pid, role: '', told: null, isOwner: false, remains: null, events: [], from: null, exited: null, ended: null,
           tasks: [] };
}

function absorbEvent(process, event) {
  process.events.push(event);
  if (event.event === 'spawned') process.role = event.detail;
  if (ownersEvents.has(event.event)) {
    process.isOwner = true;
    process.role = 'subject';
  }
  if (event.event === 'exited' && event.detail !== 'it did not') process.exited = event.at_ms;
  if (event.event === 'reaped') process.ended = event.at_ms;
}

function absorbCensus(process, told, isOwner) {
  process.told = told;
  if (isOwner) {
    process.isOwner = true;
    process.role = process.role && process.role !== 'subject' ? process.role : 'owner';
  } else {
    process.remains = told.kind;
    process.role = process.role || nameOf(told);
  }
}

function firstTime(report, name, after = 0) {
  const found = report.timeline.find((event) => event.event === name && event.at_ms >= after);
  return found ? found.at_ms : null;
}

// The end of a task is not reported. A task lasts until the tasks are released, or its process's end; one that is
// started after the release is over at once.
function tasksOf(process, report, end) {
  const released = firstTime(report, 'tasks-released');
  const starts = process.events.filter((event) => event.event === 'task-started');
  return starts.map((start, i) => {
    const later = [starts[i + 1]?.at_ms, released, process.exited, process.ended, end];
    const ends = later.filter((at) => at !== null && at !== undefined && at >= start.at_ms);
    return { from: start.at_ms, to: released !== null && start.at_ms >= released ? start.at_ms : Math.min(...ends) };
  });
}

// From the first event to the last: before is nothing, and what follows is the sandbox's end.
function spanOf(report) {
  const times = report.timeline.map((event) => event.at_ms);
  const start = times.length > 0 ? Math.min(...times) : 0;
  const last = Math.max(start, ...times);
  return { start, end: last > start ? last : Math.max(start + 1, report.durations_ms.total ?? 0) };
}

function processesOf(report) {
  const all = new Map();
  const process = (pid) => all.get(pid) ?? all.set(pid, newProcess(pid)).get(pid);
  for (const event of report.timeline) if (event.pid !== null) absorbEvent(process(event.pid), event);
  if (report.owner) absorbCensus(process(report.owner.pid), report.owner, true);
  for (const told of report.remaining) absorbCensus(process(told.pid), told, false);
  const { end } = spanOf(report);
  for (const each of all.values()) {
    each.from = each.events[0]?.at_ms ?? null;
    if (each.exited !== null && each.ended === null && !each.remains) each.ended = each.exited;
    each.tasks = tasksOf(each, report, end);
  }
  const started = (each) => each.from ?? Number.MAX_VALUE;
  return [...all.values()].sort((a, b) => b.isOwner - a.isOwner || started(a) - started(b) || a.pid - b.pid);
}

// A helper may remain as long as the pool's owner lives; whatever a rule lets remain, anyway.
function markAllowed(report) {
  const subject = report.timeline.find((event) => event.event === 'subject-started')?.pid;
  const outlived = report.timeline.some((event) => event.event === 'exited' && event.pid === subject);
  for (const told of report.remaining)
    told.allowed = told.suppressed_by !== null || (told.kind === 'helper' && !outlived);
}

// Of a remaining process.
function kindOf(told) {
  return told.suppressed_by === null ? told.kind : `${told.kind}, allowed`;
}

function styleOfRemains(told) {
  return told.allowed ? 'allowed' : 'remains';
}

// The class of its bar.
function styleOf(process) {
  if (process.remains) return styleOfRemains(process.told);
  return process.isOwner ? 'owner' : 'ended';
}

// What came of it, in a word or two.
function outcomeOf(process) {
  if (process.remains) return kindOf(process.told);
  if (process.ended !== null) return process.ended === process.exited ? 'exited' : 'reaped';
  return process.isOwner && process.told ? 'lives' : process.isOwner ? '' : 'gone';
}
