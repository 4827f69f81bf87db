// From milliseconds to pixels. A replay does most in a few milliseconds and may then wait for seconds: a gap that
// would take most of the width is drawn as a break, short and marked, and everything else is to one scale.

const breakWidth = 46;
const mostBreaks = 3;

// The gaps to be broken, as [from, to].
function findBreaks(times, start, end) {
  const points = [...new Set([start, ...times.filter((at) => at >= start && at <= end), end])].sort((a, b) => a - b);
  let gaps = points.slice(1).map((to, i) => [points[i], to]);
  const breaks = [];
  let span = end - start;
  while (breaks.length < mostBreaks && gaps.length > 2) {
    const widest = gaps.reduce((a, b) => (b[1] - b[0] > a[1] - a[0] ? b : a));
    if (widest[1] - widest[0] < span * 0.55) break;
    breaks.push(widest);
    span -= widest[1] - widest[0];
    gaps = gaps.filter((gap) => gap !== widest);
  }
  return breaks.sort((a, b) => a[0] - b[0]);
}

// The least of 1, 2, 5, 10, 20, ... that is at least `least`.
function roundStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least * 0.999);
}

// `step` tells how many digits matter.
function tickText(ms, step) {
  if (step >= 1000) return `${Number((ms / 1000).toFixed(1))} s`;
  return `${ms.toFixed(Math.max(0, Math.ceil(-Math.log10(step))))} ms`;
}

function timeScale(times, start, end, left, right) {
  const breaks = findBreaks(times, start, end);
  const broken = breaks.reduce((sum, [from, to]) => sum + to - from, 0);
  const perMs = (right - left - breaks.length * breakWidth) / Math.max(end - start - broken, 1e-9);
  const x = (ms) => {
    let at = left, past = start;
    for (const [from, to] of breaks) {
      if (ms <= from) break;
      at += (from - past) * perMs + breakWidth * (Math.min(ms, to) - from) / (to - from);
      past = Math.min(ms, to);
    }
    return Math.min(right, at + Math.max(0, ms - past) * perMs);
  };
  const marks = breaks.map(([from, to]) => ({ from: x(from), to: x(to), text: duration(to - from) }));
  return { x, breaks: marks, ticks: ticksOf(x, breaks, start, end, roundStep(90 / perMs)) };
}

// Not closer than their texts, nor in a break or where its text stands.
function ticksOf(x, breaks, start, end, step) {
  const ticks = [];
  const runs = [start, ...breaks.flat(), end];
  for (let r = 0; r < runs.length; r += 2)
    for (let n = Math.ceil(runs[r] / step - 1e-9); n * step <= runs[r + 1] && ticks.length < 100; ++n) {
      const at = x(n * step);
      const nearBreak = breaks.some(([from, to]) => at > x(from) - 44 && at < x(to) + 14 && n > 0);
      const close = ticks.length > 0 && at - ticks.at(-1).x < 56;
      if (!nearBreak && !close) ticks.push({ x: at, text: tickText(n * step, step) });
    }
  return ticks;
}
