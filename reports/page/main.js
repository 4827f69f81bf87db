// Shows everything. What went wrong with the page itself, and whether it asked for anything, stands in attributes of
// the root element, for tests: data-ready, data-errors, data-requests.

const mostOpen = 8; // with more failures than that only the first one starts open
const mostPrinted = 24;
const root = document.documentElement;

function tell(error) {
  root.dataset.errors = `${root.dataset.errors ?? ''}${error}\n`;
}

addEventListener('error', (event) => tell(event.message));
addEventListener('unhandledrejection', (event) => tell(event.reason));
addEventListener('securitypolicyviolation', (event) => tell(`${event.violatedDirective}: ${event.blockedURI}`));

function openAndShow(section) {
  section.open = true;
  section.build();
  section.scrollIntoView();
  section.querySelector('summary').focus({ preventScroll: true });
}

function followLinks() {
  const follow = () => {
    const target = document.getElementById(location.hash.slice(1));
    if (target?.build) openAndShow(target);
  };
  addEventListener('hashchange', follow);
  document.getElementById('page').addEventListener('click', (event) => {
    if (event.target.hash === location.hash) follow(); // no change of the hash: the section may have been closed
  });
  follow();
}

// Paper can't be clicked: all is open on it, or, where that would be too much, what was open already.
function openForPrint(sections) {
  let opened = [];
  addEventListener('beforeprint', () => {
    if (sections.length <= mostPrinted)
      for (const section of sections) section.build();
    opened = [...document.querySelectorAll('details:not([open])')].filter((each) => !each.build || each.built);
    for (const each of opened) each.open = true;
  });
  addEventListener('afterprint', () => {
    for (const each of opened) each.open = false;
  });
}

function main() {
  const { cells, sweeps, comparison } = readData(), sections = [], failures = [], numbers = [];
  for (const cell of cells) {
    numbers.push([]);
    for (const ending of cell.endings) {
      markAllowed(ending.report);
      numbers.at(-1).push(sections.length + 1);
      sections.push(sectionOf(cell, ending, sections.length + 1));
      if (failed(ending.report)) failures.push(sections.at(-1));
    }
  }
  const open = sections.length === 1 ? sections : failures.length > mostOpen ? failures.slice(0, 1) : failures;
  for (const section of open) {
    section.build();
    section.open = true;
  }
  const swept = sweeps.flatMap((sweep, i) => sweepOf(sweep, i + 1));
  const head = sweeps.length > 0 ? [headOf([], counted(sweeps.length, 'sweep'))] : overviewOf(cells, numbers);
  const cross = comparison ? [crossOf(comparison, cells, numbers)] : [];
  const [title, ...overview] = head;
  document.getElementById('page').append(title, ...cross, ...overview, ...sections, ...swept);
  openForPrint([...sections, ...swept.filter((each) => each.build)]);
  followLinks();
  addEventListener('load', () => {
    root.dataset.requests = performance.getEntriesByType('resource').length;
    root.dataset.ready = 'true';
  });
}

main();
