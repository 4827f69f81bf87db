// A sweep: a strip for each process that was swept, its calls along time as ticks. A tick where a fault left something
// leads to what its class is; the others tell their point when they are pointed at. A tick's height says the same as
// its colour.

const tickMeanings = { clean: 'nothing remains', unreached: 'no replay came there', untried: 'not tried' };

function tickOf(point, number, sweep) {
  const [place, about, what] = point;
  const title = clipped(about ? `${place} of ${about}` : place, 160);
  if (typeof what === 'string')
    return element('span', { class: `tick is-${what}`, title: `${title}: ${tickMeanings[what]}` });
  const one = sweep.classes[what];
  const meaning = `${title}: ${one.fault}: ${one.report.verdict}: ${one.report.reason}`;
  return element('a', { class: `tick is-${one.report.verdict}`, href: `#sweep-${number}-${what + 1}`,
                        title: meaning, 'aria-label': meaning });
}

// The ticks of each step stand together under its name.
function stripOf(process, number, sweep) {
  const steps = [];
  for (const point of process.points) {
    const step = point[0].split(':')[0];
    if (steps.at(-1)?.step !== step) steps.push({ step, ticks: [] });
    steps.at(-1).ticks.push(tickOf(point, number, sweep));
  }
  const shown = steps.map(({ step, ticks }) => element('div', { class: 'step' }, element('span', { class: 'quiet' }, step),
    element('div', { class: 'ticks' }, ticks)));
  return element('div', {}, element('dt', {}, process.actor), element('dd', {}, shown));
}

function classOf(one, number, place) {
  const { report } = one;
  markAllowed(report);
  const section = element('details', { class: `report is-${report.verdict}`, id: `sweep-${number}-${place + 1}` },
    element('summary', {}, badge(report.verdict), element('h2', {}, `${place + 1}. ${one.what}`),
      element('span', { class: 'quiet' }, `${counted(one.points.length, 'point')}, ${one.often} replays`)));
  section.build = () => {
    if (!section.built)
      section.append(element('div', { class: 'body' }, element('pre', { tabindex: '0' }, one.line),
        part('Points', list(one.points.map((point) => element('code', {}, point)))),
        bodyOf(report, { endings: [], replays: [] })));
    section.built = true;
  };
  section.addEventListener('toggle', () => section.open && section.build());
  return section;
}

// The strips of a sweep, and a section for each of its classes.
function sweepOf(sweep, number) {
  const classes = sweep.classes.map((one, place) => classOf(one, number, place));
  return [element('section', { class: 'sweep' }, element('h2', {}, sweep.title),
    element('p', { class: 'quiet' }, sweep.coverage),
    element('dl', { class: 'strips' }, sweep.processes.map((process) => stripOf(process, number, sweep)))), ...classes];
}
