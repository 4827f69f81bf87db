// Reading the data: sweeps, and cells: for each scenario on each pool its endings, with the report of the first replay of each, and what
// came of every replay. What a process could use to make a report read otherwise is escaped here, once and for all:
// control characters, line separators, and what turns the direction of the text that follows; as on a terminal
// (reports/text.cpp).

const obeyed = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

function escaped(character) {
  const point = character.charCodeAt(0);
  return point < 0x80 ? '\\x' + point.toString(16).padStart(2, '0') : '\\u' + point.toString(16).padStart(4, '0');
}

function printable(text) {
  return text.replace(obeyed, escaped);
}

function printableLines(text) {
  return text.replace(obeyed, (character) => ('\n\t'.includes(character) ? character : escaped(character)));
}

function readData() {
  return JSON.parse(document.getElementById('data').textContent, (name, value) => {
    if (typeof value === 'string') return name === 'subject_stderr' ? printableLines(value) : printable(value);
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [printable(key), member]));
  });
}
