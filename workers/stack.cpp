// pidleak-stack PID [MOST]: prints the calls that the threads of a process are in, a line each: thread, TAB, call, the
// innermost first, at most MOST (16) of each thread.
//
// A program of its own, so that nothing else has to load elfutils. It stops every thread by ptrace(2) for some
// milliseconds: it is started only when everything else is known.
#include <boost/core/demangle.hpp>
#include <elfutils/libdwfl.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace {

int most_calls = 16; // of one thread

struct Thread {
  pid_t id = 0;
  int calls = 0;
};

void print(const Thread &thread, Dwfl *session, Dwarf_Addr address) {
  auto *module = ::dwfl_addrmodule(session, address);
  if (const char *symbol = module ? ::dwfl_module_addrname(module, address) : nullptr) {
    std::printf("%d\t%s\n", thread.id, boost::core::demangle(symbol).c_str());
    return;
  }
  const char *file =
      module ? ::dwfl_module_info(module, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr) : nullptr;
  const char *name = file ? std::strrchr(file, '/') : nullptr;
  std::printf("%d\t0x%lx in %s\n", thread.id, address, name ? name + 1 : "no file");
}

int take_call(Dwfl_Frame *frame, void *of_thread) {
  auto &thread = *static_cast<Thread *>(of_thread);
  Dwarf_Addr address = 0;
  bool was_interrupted = false;
  if (!::dwfl_frame_pc(frame, &address, &was_interrupted))
    return DWARF_CB_ABORT;
  // A return address may be that of the next function: the call is before it.
  print(thread, ::dwfl_thread_dwfl(::dwfl_frame_thread(frame)), was_interrupted ? address : address - 1);
  return ++thread.calls < most_calls ? DWARF_CB_OK : DWARF_CB_ABORT;
}

int take_thread(Dwfl_Thread *found, void *) {
  Thread thread{.id = ::dwfl_thread_tid(found)};
  ::dwfl_thread_getframes(found, take_call, &thread);
  return DWARF_CB_OK;
}

} // namespace

int main(int argc, char **argv) {
  pid_t pid = argc > 1 ? std::atoi(argv[1]) : 0;
  most_calls = argc > 2 ? std::atoi(argv[2]) : most_calls;
  if (pid < 1 || most_calls < 1) {
    std::fputs("usage: pidleak-stack PID [MOST]\n", stderr);
    return 2;
  }
  const Dwfl_Callbacks callbacks{.find_elf = ::dwfl_linux_proc_find_elf,
                                 // Separate debug information is not looked for: nothing is fetched.
                                 .find_debuginfo = [](Dwfl_Module *, void **, const char *, Dwarf_Addr, const char *,
                                                      const char *, GElf_Word, char **) { return -1; },
                                 .section_address = nullptr,
                                 .debuginfo_path = nullptr};
  std::unique_ptr<Dwfl, decltype(&::dwfl_end)> session(::dwfl_begin(&callbacks), ::dwfl_end);
  if (!session || ::dwfl_linux_proc_report(session.get(), pid) != 0 ||
      ::dwfl_report_end(session.get(), nullptr, nullptr) != 0 ||
      ::dwfl_linux_proc_attach(session.get(), pid, false) != 0 ||
      ::dwfl_getthreads(session.get(), take_thread, nullptr) == -1) {
    std::fprintf(stderr, "pidleak-stack: pid %d: %s\n", pid, ::dwfl_errmsg(-1));
    return 1;
  }
  return 0;
}
