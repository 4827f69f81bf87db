// The example of pidleak(3), through koffi. Usage: node from_koffi.js libpidleak.so.1
'use strict';
const koffi = require('koffi');
const { spawn } = require('child_process');

const library = koffi.load(process.argv[2]);
koffi.opaque('pidleak_session');
koffi.opaque('pidleak_mark');
const Options = koffi.struct('pidleak_options', {
  size: 'size_t', grace_ms: 'int', adopt_orphans: 'int', strict: 'int', reap: 'int', suppressions: 'const char *',
  helpers: 'void *', helper_count: 'size_t'
});
const free = library.func('void pidleak_free(void *text)');
koffi.disposable('Text', 'str', free); // becomes a string, and is given back
const open = library.func('int pidleak_open(const pidleak_options *options, _Out_ pidleak_session **session, _Out_ Text *error)');
const setMark = library.func(
  'int pidleak_set_mark(pidleak_session *session, const char *name, _Out_ pidleak_mark **mark, _Out_ Text *error)');
const noteChild = library.func('int pidleak_note_child(int pid, _Out_ Text *error)');
const check = library.func(
  'int pidleak_check(pidleak_mark *mark, _Out_ int *verdict, _Out_ Text *json, _Out_ Text *text, _Out_ Text *error)');
const end = library.func('int pidleak_end(pidleak_mark *mark, int grace_ms, _Out_ Text *error)');
const dropMark = library.func('void pidleak_drop_mark(pidleak_mark *mark)');
const close = library.func('void pidleak_close(pidleak_session *session)');

function must(code, error) {
  if (code !== 0)
    throw new Error(error[0]);
}

const session = [null], mark = [null], error = [null], verdict = [0], json = [null], text = [null];
const options = {
  size: koffi.sizeof(Options), grace_ms: 200, adopt_orphans: 1, strict: 0,
  reap: 0, // Node waits for its children
  suppressions: null, helpers: null, helper_count: 0
};
must(open(options, session, error), error);
must(setMark(session[0], 'the step', mark, error), error);
const child = spawn('sleep', ['600'], { stdio: 'ignore' });
must(noteChild(child.pid, error), error);
must(check(mark[0], verdict, json, text, error), error);
console.log(text[0]);
if (verdict[0] !== 2 || JSON.parse(json[0]).reports[0].remaining[0].pid !== child.pid)
  throw new Error('not told');
must(end(mark[0], 500, error), error);
child.on('exit', (code, signal) => { // Node has heard of it
  must(check(mark[0], verdict, null, null, error), error);
  if (signal !== 'SIGTERM' || verdict[0] !== 0)
    throw new Error('not ended');
  dropMark(mark[0]);
  close(session[0]);
});
