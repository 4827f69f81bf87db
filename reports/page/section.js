// The section of one ending: the report of the first replay that came to it.

function part(title, ...content) {
  const shown = content.flat().filter(Boolean);
  return shown.length > 0 ? element('section', { class: 'part' }, element('h3', {}, title), shown) : null;
}

function evidenceOf(report) {
  const items = report.evidence.map((item) => [
    element('span', { class: item.shown ? 'tag shown' : 'tag not-shown' }, item.shown ? '✓ shown' : '✕ NOT SHOWN'),
    element('div', {}, element('strong', {}, item.condition), ' ', item.text,
      definitions(Object.entries(item.facts), { class: 'inline-facts' })),
  ]);
  return list(items, { class: 'evidence' });
}

function suppressionsOf(report) {
  const processes = (count) => (count === 1 ? '1 process' : `${count} processes`);
  const usedFor = (rule) => (rule.used === 0 ? 'unused' : `used for ${processes(rule.used)}`);
  const until = (rule) => (rule.expires ? `, ${rule.expired ? 'expired' : 'expires'} ${rule.expires}` : '');
  const items = report.suppressions.map((rule) => [element('code', {}, rule.rule), ` ${rule.reason} `,
    element('span', { class: 'quiet' }, `(${usedFor(rule)}${until(rule)})`)]);
  return list(items, { class: 'suppressions' });
}

function yesNo(value, nothing) {
  return value === null ? nothing : value ? 'yes' : 'NO';
}

function settledOf(report) {
  if (report.settled_by === null) return 'no';
  const because = report.not_quiescent_because ? `; not quiescent: ${report.not_quiescent_because}` : '';
  return `by ${report.settled_by} after ${duration(report.durations_ms.settle)}${because}`;
}

function replayOf(report) {
  const { shutdown, total } = report.durations_ms;
  return definitions([
    ['tier', element('div', {}, report.tier, list(report.tier_notes, { class: 'plain quiet' }))],
    ['settled', settledOf(report)],
    ['shutdown', shutdown === null ? 'not called, or never returned' : duration(shutdown)],
    ['whole replay', duration(total)],
    ['census complete', yesNo(report.census.complete, '')],
    ['cgroup agrees', yesNo(report.census.cgroup_agrees, 'no cgroup to compare with')],
    ['nothing left below', yesNo(report.census.nothing_left_below, 'not asked')],
    ['pool', [`${report.pool.name} ${report.pool.version}`.trim(), counted(report.pool.workers, 'worker')].join(', ')],
    ['started', report.started],
    ['machine', `${report.machine.kernel}, user ${report.machine.user}`],
    ['tool', `${report.tool.name} ${report.tool.version}`],
  ], { class: 'facts' });
}

function growthOf(report) {
  const groupOf = (group) => [
    element('p', {}, element('code', {}, group.comm), ` of pid ${group.starter.pid} (`,
      element('code', {}, group.starter.comm), `): from ${group.from} to ${group.now} in ${duration(group.over_ms)}`,
      group.zombies > 0 ? `, ${counted(group.zombies, 'zombie')} among them` : '',
      `; ${group.ended} of ${group.seen} ended. The oldest:`),
    diagnosisOf(group.oldest), detailsOf(group.oldest)];
  return list((report.growth?.groups ?? []).map(groupOf), { class: 'plain' });
}

function ownerOf(report) {
  if (!report.owner) return null;
  return [diagnosisOf(report.owner), detailsOf(report.owner)];
}

function conditionsOf(report) {
  const shown = ([name, word]) => [element('span', {}, name), ' ', element('b', {}, word)];
  return list(Object.entries(report.conditions).map(shown), { class: 'conditions', 'aria-label': 'Conditions' });
}

function standardErrorOf(report) {
  return report.subject_stderr ? element('pre', { tabindex: '0' }, report.subject_stderr) : null;
}

// Every replay of the cell, as a table that is made when it is opened.
function replaysOf(cell) {
  if (cell.replays.length < 2) return null;
  const rowOfReplay = ([ending, time], i) => element('tr', {}, element('td', { class: 'number' }, `${i + 1}`),
    element('td', {}, badge(cell.endings[ending].report.verdict)), element('td', {}, cell.endings[ending].report.reason),
    element('td', { class: 'number' }, duration(time)));
  const all = element('details', {}, element('summary', {}, `all ${cell.replays.length} replays`));
  all.addEventListener('toggle', () => {
    if (all.open && all.children.length === 1)
      all.append(element('table', { class: 'overview' }, element('tbody', {}, cell.replays.map(rowOfReplay))));
  });
  return all;
}

function bodyOf(report, cell) {
  const standardError = part('The last of its output', standardErrorOf(report));
  const isBroken = report.verdict === 'broken'; // then it says most
  return [
    element('p', { class: 'reason' }, report.reason),
    conditionsOf(report),
    isBroken ? standardError : null,
    part('Evidence', evidenceOf(report)),
    part('Timeline', report.lives ? null : timelineOf(report)), // guard has no events of its own
    part('What accumulated', growthOf(report)),
    part('When the time was over', report.at_timeout.length > 0 ? treeOf(report.at_timeout) : null),
    part('All processes', livesOf(report)),
    part('What remains', report.remaining.length > 0 ? treeOf(report.remaining) : null),
    part('The pool’s owner', ownerOf(report)),
    part('Suppressions', suppressionsOf(report)),
    part('The replay', replayOf(report)),
    isBroken ? null : standardError,
    replaysOf(cell),
    element('p', { class: 'back' }, element('a', { href: '#page' }, '↑ Overview')),
  ].filter(Boolean);
}

// Of one ending of a cell.
function sectionOf(cell, ending, number) {
  const { report, count, place } = ending;
  const times = cell.replays.length > 1 ? `${count} of ${cell.replays.length} replays, the first is number ${place}` : '';
  const section = element('details', { class: `report is-${report.verdict}`, id: `report-${number}` },
    element('summary', {}, badge(report.verdict), element('h2', {}, titleOf(report)),
      element('span', { class: 'quiet' }, times || `#${number}`)));
  section.build = () => {
    if (!section.built) section.append(element('div', { class: 'body' }, bodyOf(report, cell)));
    section.built = true;
  };
  section.addEventListener('toggle', () => section.open && section.build());
  return section;
}
